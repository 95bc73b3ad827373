//! A thread for what takes a while and can wait: packing, compressing, reading. Everybody else goes first.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::sync::oneshot;

/// A thread of the lowest priority. It ends with this.
pub(crate) struct Background(Sender<Box<dyn FnOnce() + Send>>);

impl Background {
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, work) = channel::<Box<dyn FnOnce() + Send>>();
        thread::Builder::new().name("log-shipping".to_owned()).spawn(move || {
            // Of this thread alone, on Linux. Where it is not allowed, answers may wait a little for the processor.
            rustix::process::setpriority_process(None, LOWEST).ok();
            while let Ok(work) = work.recv() {
                work();
            }
        })?;
        Ok(Self(sender))
    }

    /// Does some work there. An error means that the thread has ended, because earlier work panicked.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (done, awaited) = oneshot::channel();
        let work = Box::new(move || {
            // Whoever no longer waits does not want it.
            drop(done.send(work()));
        });
        let ended = || io::Error::other("the thread that ships log records has ended");
        self.0.send(work).map_err(|_closed| ended())?;
        awaited.await.map_err(|_closed| ended())
    }
}

const LOWEST: i32 = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_beside_and_with_the_lowest_priority() {
        let own = rustix::process::getpriority_process(None);
        let background = Background::start().unwrap();

        let priority = background.run(|| rustix::process::getpriority_process(None)).await.unwrap();

        assert_eq!(priority, Ok(LOWEST));
        assert_eq!(rustix::process::getpriority_process(None), own, "this thread keeps its own");
    }
}
