//! The task that ships what lies on a shelf: batch by batch, each until it is taken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::background::Background;
use crate::backlog::{Backlog, Trouble};
use crate::batch::Batch;
use crate::outlet::Sent;
use crate::plan::Plan;
use crate::shelf::Shelf;

/// The task that ships what lies on a shelf. Of several, also in several processes, one does.
pub struct Shipment {
    stop: Sender<bool>,
    task: JoinHandle<()>,
}

/// Now, in microseconds since 1970.
type Clock = fn() -> u64;

impl Shipment {
    /// Ships from now on.
    pub fn start(shelf: Arc<Shelf>, plan: Arc<Plan>, clock: Clock) -> std::io::Result<Self> {
        let (stop, stopped) = channel(false);
        let shipping = Shipping { background: Background::start()?, shelf, plan, clock };
        #[expect(clippy::disallowed_methods, reason = "it is awaited when the shipment is finished")]
        let task = tokio::spawn(run(Arc::new(shipping), stopped));
        Ok(Self { stop, task })
    }

    /// Ends. What can be shipped soon is shipped before.
    pub async fn finish(self) {
        self.stop.send_replace(true);
        // A task that panicked has ended.
        drop(self.task.await);
    }

    /// As [`Self::finish`], without waiting for it.
    pub fn end(&self) {
        self.stop.send_replace(true);
    }
}

struct Shipping {
    background: Background,
    shelf: Arc<Shelf>,
    plan: Arc<Plan>,
    clock: Clock,
}

async fn run(shipping: Arc<Shipping>, stop: Receiver<bool>) {
    let Some(backlog) = acquire(&shipping, stop.clone()).await else { return };
    let backlog = Arc::new(Mutex::new(backlog));
    let over = async {
        let mut stop = stop.clone();
        // Without its other end it is over, too.
        stop.wait_for(|stop| *stop).await.ok();
        tokio::time::sleep(LAST_PATIENCE).await;
    };
    tokio::select! {
        () = ship(&shipping, &backlog, stop.clone()) => {}
        () = keep(&shipping, &backlog) => {}
        () = over => {}
    }
}

/// The backlog, once no other process has it. None if this ends before.
async fn acquire(shipping: &Shipping, mut stop: Receiver<bool>) -> Option<Backlog> {
    let mut trouble = false;
    loop {
        let shelf = shipping.shelf.clone();
        match shipping.blocking(move || Backlog::acquire(&shelf)).await {
            Ok(Some(backlog)) => return Some(backlog),
            Err(error) if !trouble => {
                error!(sink = &*shipping.shelf.name, %error, "log records cannot be shipped; they wait on disk");
                trouble = true;
            }
            Ok(None) | Err(_) => {}
        }
        if pause(&mut stop, LOOK).await == Pause::Ended {
            return None;
        }
    }
}

/// Packs what waits, and lets go of what there is no room for.
async fn keep(shipping: &Shipping, backlog: &Arc<Mutex<Backlog>>) {
    let mut trouble = false;
    loop {
        let (kept, clock) = (backlog.clone(), shipping.clock);
        match shipping.blocking(move || kept.lock().keep(clock())).await {
            Ok(()) => trouble = false,
            Err(error) if !trouble => {
                error!(sink = &*shipping.shelf.name, %error, "log records on disk cannot be packed");
                trouble = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Ships until it is told to stop and nothing is left, or nothing is taken.
async fn ship(shipping: &Arc<Shipping>, backlog: &Arc<Mutex<Backlog>>, mut stop: Receiver<bool>) {
    let most = shipping.plan.batch.records as usize;
    loop {
        let next = backlog.clone();
        let batch = match shipping.blocking(move || next.lock().next(most)).await {
            Ok(batch) => Arc::new(batch),
            Err(error) => {
                warn!(sink = &*shipping.shelf.name, %error, "log records cannot be read");
                backlog.lock().rewind();
                if pause(&mut stop, LOOK).await == Pause::Ended {
                    return;
                }
                continue;
            }
        };
        if batch.len() > 0 && deliver(shipping, &batch, &mut stop).await == Pause::Ended {
            return;
        }
        let is_full = batch.is_full(most);
        let confirmed = backlog.clone();
        if let Err(error) = shipping.blocking(move || confirmed.lock().confirm(&batch)).await {
            warn!(sink = &*shipping.shelf.name, %error, "it cannot be written down what was shipped");
        }
        if !is_full && (*stop.borrow() || pause(&mut stop, shipping.plan.batch.every.duration()).await == Pause::Ended)
        {
            // Once more, for what came meanwhile.
            if backlog.lock().is_empty() {
                return;
            }
        }
    }
}

/// Sends a batch until all of it is taken or will never be. Told to stop, it gives up at the first failure.
async fn deliver(shipping: &Arc<Shipping>, batch: &Arc<Batch>, stop: &mut Receiver<bool>) -> Pause {
    let counts = &shipping.shelf.counts;
    let mut pieces = VecDeque::from([Piece::of((0..batch.len()).collect())]);
    let mut failures = 0;
    while let Some(mut piece) = pieces.pop_front() {
        let count = piece.which.len();
        let sent = match piece.prepare(shipping, batch).await {
            Ok(prepared) => shipping.plan.outlet.send(prepared, count).await,
            Err(error) => Sent::later(error),
        };
        let (after, why) = match sent {
            Sent::Taken { refused } => {
                counts.shipped.fetch_add((count as u64).saturating_sub(refused), Ordering::Relaxed);
                counts.refused.fetch_add(refused, Ordering::Relaxed);
                if failures > 0 {
                    info!(sink = &*shipping.shelf.name, "log records are taken again");
                    failures = 0;
                }
                continue;
            }
            Sent::Left { left, refused } => {
                let left: Vec<_> = left.iter().filter_map(|place| piece.which.get(*place).copied()).collect();
                let taken = (count as u64).saturating_sub(left.len() as u64 + refused);
                counts.shipped.fetch_add(taken, Ordering::Relaxed);
                counts.refused.fetch_add(refused, Ordering::Relaxed);
                let why = format!("{} of {count} records were not taken", left.len());
                pieces.push_front(Piece::of(left));
                (None, why)
            }
            Sent::Unfit(why) if count <= 1 => {
                warn!(sink = &*shipping.shelf.name, why, "a log record will never be taken");
                counts.refused.fetch_add(count as u64, Ordering::Relaxed);
                continue;
            }
            Sent::Unfit(_) => {
                let (first, second) = piece.which.split_at(count / 2);
                pieces.push_front(Piece::of(second.to_vec()));
                pieces.push_front(Piece::of(first.to_vec()));
                continue;
            }
            Sent::Later { after, why } => {
                pieces.push_front(piece);
                (after, why)
            }
        };
        failures += 1;
        counts.failures.fetch_add(1, Ordering::Relaxed);
        if failures == 1 {
            warn!(sink = &*shipping.shelf.name, why, "log records are not taken; they wait on disk");
        }
        if *stop.borrow() || pause(stop, after.unwrap_or_default().max(back_off(failures))).await == Pause::Ended {
            return Pause::Ended;
        }
    }
    Pause::Over
}

impl Shipping {
    /// Does what may block on a thread that may.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        self.background.run(work).await?
    }
}

/// Records of a batch that are sent together, and what is sent for them once that is known.
struct Piece {
    which: Vec<usize>,
    prepared: Option<Bytes>,
}

impl Piece {
    fn of(which: Vec<usize>) -> Self {
        Self { which, prepared: None }
    }

    /// What is sent, which is made once, however often it is sent.
    async fn prepare(&mut self, shipping: &Arc<Shipping>, batch: &Arc<Batch>) -> Result<Bytes, Trouble> {
        if let Some(prepared) = &self.prepared {
            return Ok(prepared.clone());
        }
        let (plan, batch, which) = (shipping.plan.clone(), batch.clone(), self.which.clone());
        let prepared = shipping.blocking(move || Ok(plan.outlet.prepare(&batch, &which))).await?;
        self.prepared = Some(prepared.clone());
        Ok(prepared)
    }
}

/// How long to wait after so many failures in a row: twice as long each time, up to [`LONGEST`]; chance keeps many
/// gateways from coming back in step.
fn back_off(failures: u32) -> Duration {
    let most = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST);
    let chance = getrandom::u32().unwrap_or(u32::MAX / 2);
    most / 2 + (most / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

/// Why a pause is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Over,
    Ended,
}

/// Waits, or is told to stop.
async fn pause(stop: &mut Receiver<bool>, time: Duration) -> Pause {
    match tokio::time::timeout(time, stop.wait_for(|stop| *stop)).await {
        Err(_elapsed) => Pause::Over,
        Ok(_) => Pause::Ended,
    }
}

/// How often a shelf is looked at.
const LOOK: Duration = Duration::from_millis(250);
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);
/// How long the end of a process, or of a sink's settings, waits for a sink.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_waited_for_longer_up_to_half_a_minute() {
        for (failures, least, most) in [(1, 125, 250), (2, 250, 500), (5, 2000, 4000), (50, 15_000, 30_000)] {
            let waits = back_off(failures).as_millis();
            assert!((least..=most).contains(&waits), "{waits} ms after {failures}");
        }
    }
}
