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
    pub fn start(shelf: Arc<Shelf>, plan: Arc<Plan>, clock: Clock) -> Self {
        let (stop, stopped) = channel(false);
        #[expect(clippy::disallowed_methods, reason = "it is awaited when the shipment is finished")]
        let task = tokio::spawn(run(Arc::new(Shipping { shelf, plan, clock }), stopped));
        Self { stop, task }
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
        match blocking(move || Backlog::acquire(&shelf)).await {
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
        match blocking(move || kept.lock().keep(clock())).await {
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
        let batch = match blocking(move || next.lock().next(most)).await {
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
        if let Err(error) = blocking(move || confirmed.lock().confirm(&batch)).await {
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
    let mut parts = VecDeque::from([(0..batch.len()).collect::<Vec<usize>>()]);
    let mut failures = 0;
    while let Some(which) = parts.pop_front() {
        let count = which.len();
        let prepared = prepared(shipping, batch, &which).await;
        let (after, why) = match shipping.plan.outlet.send(prepared, count).await {
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
                let left: Vec<_> = left.iter().filter_map(|place| which.get(*place).copied()).collect();
                let taken = (count as u64).saturating_sub(left.len() as u64 + refused);
                counts.shipped.fetch_add(taken, Ordering::Relaxed);
                counts.refused.fetch_add(refused, Ordering::Relaxed);
                let why = format!("{} of {count} records were not taken", left.len());
                parts.push_front(left);
                (None, why)
            }
            Sent::Unfit(why) if count <= 1 => {
                warn!(sink = &*shipping.shelf.name, why, "a log record will never be taken");
                counts.refused.fetch_add(count as u64, Ordering::Relaxed);
                continue;
            }
            Sent::Unfit(_) => {
                let (first, second) = which.split_at(count / 2);
                parts.push_front(second.to_vec());
                parts.push_front(first.to_vec());
                continue;
            }
            Sent::Later { after, why } => {
                parts.push_front(which);
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

async fn prepared(shipping: &Arc<Shipping>, batch: &Arc<Batch>, which: &[usize]) -> Bytes {
    let (shipping, batch, which) = (shipping.clone(), batch.clone(), which.to_vec());
    let prepared = tokio::task::spawn_blocking(move || shipping.plan.outlet.prepare(&batch, &which)).await;
    // Only a panic keeps it from being prepared.
    prepared.unwrap_or_default()
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

/// Does what may block on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Trouble> + Send + 'static) -> Result<T, Trouble> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Trouble::File(std::io::Error::other(error))),
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
