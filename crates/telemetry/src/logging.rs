//! The log of the process itself: `tracing` events as lines on the standard error output.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::sink::{Output, Sink};

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs: a JSON object.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is not one.
    #[error("`{0}` is no log level: write error, warn, info, debug or trace, or target=level,...")]
    Level(String, #[source] ParseError),
    /// The writer could not be started.
    #[error("the log's writer cannot start")]
    Start(#[from] io::Error),
    /// There is a log already.
    #[error("the process has a log already")]
    Twice(#[from] TryInitError),
}

/// The running log. Kept until the process ends; dropping it writes what is left.
pub struct Log {
    sink: Arc<Sink>,
    level: reload::Handle<EnvFilter, Registry>,
}

impl Log {
    /// Sends all events of this process from `level` on to the standard error output.
    ///
    /// `level` is `info` or the like, or levels by target as in `info,proxy=debug`. Nothing that logs
    /// waits for the terminal: beyond a mebibyte of lines, more are dropped and counted.
    pub fn start(level: &str, form: Form) -> Result<Self, Error> {
        let sink = Arc::new(Sink::start("log", Output::Stderr, ROOM)?);
        let (filter, level) = reload::Layer::new(parse(level)?);
        let lines = layer(form, Lines(sink.clone()));
        tracing_subscriber::registry().with(filter).with(lines).try_init()?;
        Ok(Self { sink, level })
    }

    /// Changes the level.
    pub fn set_level(&self, level: &str) -> Result<(), Error> {
        let filter = parse(level)?;
        // It fails only if the subscriber is gone, and with it all that could be logged.
        self.level.reload(filter).ok();
        Ok(())
    }

    /// How many lines were dropped, because the terminal was too slow.
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    /// Writes what is left and ends, waiting at most `patience` for it.
    pub fn close(&self, patience: Duration) {
        self.sink.close(patience);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // The subscriber lives as long as the process and holds the sink too.
        self.sink.close(LAST_PATIENCE);
    }
}

fn parse(level: &str) -> Result<EnvFilter, Error> {
    EnvFilter::builder().parse(level).map_err(|error| Error::Level(level.to_owned(), error))
}

fn layer<S>(form: Form, lines: Lines) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    match form {
        Form::Text => fmt::layer().with_ansi(false).with_writer(lines).boxed(),
        Form::Json => fmt::layer().json().flatten_event(true).with_writer(lines).boxed(),
    }
}

#[derive(Clone)]
struct Lines(Arc<Sink>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Lines {
    /// The formatter hands over an event at once, with the end of its line.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.append_now(event.strip_suffix(b"\n").unwrap_or(event));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const ROOM: usize = 1024 * 1024;
const LAST_PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(form: Form, level: &str) -> String {
        let memory = Memory::default();
        let sink = Arc::new(Sink::start("test", Output::Other(Box::new(memory.clone())), ROOM).unwrap());
        let subscriber =
            tracing_subscriber::registry().with(parse(level).unwrap()).with(layer(form, Lines(sink.clone())));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(policy = "quota", detail = "two\nlines", "passed unchecked");
            tracing::debug!("not asked for");
        });
        sink.close(Duration::from_secs(20));
        let bytes = memory.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_one_json_object_on_one_line() {
        let text = logged(Form::Json, "info");

        let [line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["message"], "passed unchecked");
        assert_eq!(event["policy"], "quota");
        assert_eq!(event["level"], "INFO");
    }

    #[test]
    fn text_has_no_colours_and_every_line_once() {
        let text = logged(Form::Text, "info");

        assert!(text.ends_with('\n') && !text.contains('\x1b'), "{text:?}");
        assert!(text.contains("passed unchecked") && !text.contains("not asked for"), "{text:?}");
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        assert!(parse("info,proxy=debug").is_ok());
        assert!(parse("proxy=loud").is_err());
    }
}
