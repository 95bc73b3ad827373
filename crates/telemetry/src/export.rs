//! Spans on their way to a collector: a bounded queue, and a task that sends them in batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::otlp::{Resource, Span, traces};

/// Where spans wait to be sent. Whoever adds one never waits.
pub struct SpanQueue {
    spans: Mutex<Vec<Span>>,
    room: usize,
    filled: Notify,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl SpanQueue {
    /// A queue in which at most `room` spans wait.
    pub fn new(room: usize) -> Arc<Self> {
        Arc::new(Self {
            spans: Mutex::default(),
            room,
            filled: Notify::new(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    /// Adds a span, unless there is no room: then it is dropped and counted.
    pub fn add(&self, span: Span) {
        let mut spans = self.spans.lock();
        if spans.len() >= self.room {
            drop(spans);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        spans.push(span);
        let waiting = spans.len();
        drop(spans);
        if waiting == BATCH {
            self.filled.notify_one();
        }
    }

    /// How many spans a collector has taken.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many spans found no room, or no collector that took them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn batch(&self) -> Vec<Span> {
        let mut spans = self.spans.lock();
        let count = spans.len().min(BATCH);
        spans.drain(..count).collect()
    }
}

/// Brings a batch to a collector, as `POST /v1/traces` with `content-type: application/json`.
pub trait Transport: Send + Sync {
    /// Sends one body and says what became of it.
    fn send(&self, body: Bytes) -> BoxFuture<'_, Sent>;
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The collector has taken it (200).
    Taken,
    /// It may take it later (429, 502, 503, 504, or no answer), after this time if it said so.
    Later(Option<Duration>),
    /// It never will.
    Refused,
}

/// Sends what is in a queue, in batches, until told to stop.
pub struct Exporter<T> {
    queue: Arc<SpanQueue>,
    resource: Resource,
    transport: T,
}

impl<T: Transport> Exporter<T> {
    /// An exporter of `queue`, for the process that `resource` describes.
    pub fn new(queue: Arc<SpanQueue>, resource: Resource, transport: T) -> Self {
        Self { queue, resource, transport }
    }

    /// The task: sends when there is a batch or [`PAUSE`] is over, and what is left when `stop` ends.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = self.wait_and_send() => {}
            }
        }
        // What was on its way when it was told to stop is lost and counted; the rest gets one last chance.
        let last = async { while self.send_batch(Instant::now()).await == Progress::Some {} };
        if timeout(LAST_PATIENCE, last).await.is_err() {
            tracing::warn!("spans were left when the process ended");
        }
        let left = self.queue.spans.lock().len() as u64;
        self.queue.dropped.fetch_add(left, Ordering::Relaxed);
    }

    async fn wait_and_send(&self) {
        // Whether it was filled or the pause is over: there may be something to send.
        timeout(PAUSE, self.queue.filled.notified()).await.ok();
        while self.send_batch(Instant::now() + PATIENCE).await == Progress::Some {}
    }

    /// Sends one batch, again and again with longer and longer pauses until it is taken or `deadline` is over.
    async fn send_batch(&self, deadline: Instant) -> Progress {
        let spans = Underway { queue: &self.queue, spans: self.queue.batch(), taken: false };
        if spans.spans.is_empty() {
            return Progress::None;
        }
        let body = Bytes::from(traces(&self.resource, &spans.spans));
        let mut pause = FIRST_RETRY;
        loop {
            let sent = timeout(ANSWER, self.transport.send(body.clone())).await.unwrap_or(Sent::Later(None));
            let wait = match sent {
                Sent::Taken => {
                    spans.taken();
                    return Progress::Some;
                }
                Sent::Refused => {
                    tracing::warn!(spans = spans.spans.len(), "the collector refused spans");
                    return Progress::Some;
                }
                // Exporters that failed together shall not come back together.
                Sent::Later(None) => pause + pause.mul_f64(fraction(crate::ids::span_id())),
                Sent::Later(Some(wait)) => wait,
            };
            if Instant::now() + wait >= deadline {
                tracing::warn!(spans = spans.spans.len(), "the collector takes no spans");
                return Progress::None;
            }
            sleep(wait).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }
}

#[derive(PartialEq, Eq)]
enum Progress {
    Some,
    None,
}

/// Spans that left the queue. If they are given up, on whatever path, that is counted.
struct Underway<'a> {
    queue: &'a SpanQueue,
    spans: Vec<Span>,
    taken: bool,
}

impl Underway<'_> {
    fn taken(mut self) {
        self.taken = true;
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let counter = if self.taken { &self.queue.sent } else { &self.queue.dropped };
        counter.fetch_add(self.spans.len() as u64, Ordering::Relaxed);
    }
}

/// A number between 0 and 1 from a drawn one.
fn fraction(drawn: u64) -> f64 {
    f64::from((drawn >> 32) as u32) / f64::from(u32::MAX)
}

/// Spans in a batch.
const BATCH: usize = 512;
/// How long spans wait if there are few of them.
pub const PAUSE: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(15);
/// How long a batch is tried; meanwhile others wait in the queue, and are dropped when it is full.
const PATIENCE: Duration = Duration::from_mins(1);
const LAST_PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::sync::oneshot;

    use super::*;
    use crate::otlp::{SpanKind, Status};

    /// A collector that answers as told, and takes all when it was told no more.
    #[derive(Clone, Default)]
    struct Collector {
        answers: Arc<Mutex<VecDeque<Sent>>>,
        batches: Arc<Mutex<Vec<usize>>>,
        asked: Arc<Notify>,
    }

    impl Transport for Collector {
        fn send(&self, body: Bytes) -> BoxFuture<'_, Sent> {
            let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let spans = read["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len();
            self.batches.lock().push(spans);
            self.asked.notify_one();
            let answer = self.answers.lock().pop_front().unwrap_or(Sent::Taken);
            Box::pin(async move { answer })
        }
    }

    fn span() -> Span {
        Span {
            trace_id: 1,
            span_id: 1,
            parent_span_id: None,
            trace_state: String::new(),
            flags: Span::SAMPLED,
            name: String::new(),
            kind: SpanKind::Server,
            began: 0,
            ended: 0,
            attributes: Vec::new(),
            status: Status::Unset,
        }
    }

    fn exporter(queue: &Arc<SpanQueue>, collector: &Collector) -> Exporter<Collector> {
        Exporter::new(queue.clone(), Resource { attributes: Vec::new(), version: "0" }, collector.clone())
    }

    /// Runs an exporter until its collector was asked so often, and a while longer.
    async fn run(queue: &Arc<SpanQueue>, collector: &Collector, asked: usize) {
        let (stop, stopped) = oneshot::channel::<()>();
        let waiting = async {
            while collector.batches.lock().len() < asked {
                collector.asked.notified().await;
            }
            sleep(PAUSE).await;
            drop(stop);
        };
        let exporting = exporter(queue, collector).run(async {
            stopped.await.ok();
        });
        tokio::join!(waiting, exporting);
    }

    #[tokio::test(start_paused = true)]
    async fn few_spans_go_out_after_a_pause() {
        let (queue, collector) = (SpanQueue::new(10), Collector::default());
        queue.add(span());
        queue.add(span());

        run(&queue, &collector, 1).await;

        assert_eq!(*collector.batches.lock(), [2]);
        assert_eq!((queue.sent(), queue.dropped()), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn many_spans_go_out_in_batches() {
        let (queue, collector) = (SpanQueue::new(2000), Collector::default());
        (0..1100).for_each(|_| queue.add(span()));

        run(&queue, &collector, 3).await;

        assert_eq!(*collector.batches.lock(), [512, 512, 76]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_tried_again_until_it_is_taken() {
        let (queue, collector) = (SpanQueue::new(10), Collector::default());
        *collector.answers.lock() = [Sent::Later(None), Sent::Later(Some(Duration::from_secs(5))), Sent::Taken].into();
        queue.add(span());

        run(&queue, &collector, 3).await;

        assert_eq!(*collector.batches.lock(), [1, 1, 1]);
        assert_eq!((queue.sent(), queue.dropped()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_or_never_taken_is_counted() {
        let (queue, collector) = (SpanQueue::new(10), Collector::default());
        *collector.answers.lock() = [Sent::Refused].into();
        queue.add(span());
        run(&queue, &collector, 1).await;
        assert_eq!((queue.sent(), queue.dropped()), (0, 1));

        *collector.answers.lock() = [Sent::Later(Some(Duration::from_hours(1)))].into();
        queue.add(span());
        run(&queue, &collector, 2).await;
        assert_eq!((queue.sent(), queue.dropped()), (0, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_drops_and_counts() {
        let queue = SpanQueue::new(3);

        (0..5).for_each(|_| queue.add(span()));

        assert_eq!(queue.dropped(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_at_the_end_is_sent_once_more() {
        let (queue, collector) = (SpanQueue::new(10), Collector::default());
        queue.add(span());

        exporter(&queue, &collector).run(async {}).await;

        assert_eq!((queue.sent(), queue.dropped()), (1, 0));
    }
}
