//! A crowd before the shop of the demo, so that there is a line to stand in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rooms::{KeptRoom, Trouble, Wish};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use waiting_room::{Ending, RequestId};

/// So many of the crowd are in line.
const IN_LINE: usize = 16;
/// So many are in the shop.
const INSIDE: usize = 5;
/// How often somebody comes or goes.
const STEP: Duration = Duration::from_secs(1);

/// People who join whenever the line is short, take their turns, and leave.
#[derive(Default)]
struct Crowd {
    waiting: VecDeque<RequestId>,
    inside: VecDeque<RequestId>,
}

/// A crowd that comes and goes.
pub(super) struct Gathering {
    task: JoinHandle<()>,
    is_over: oneshot::Sender<()>,
}

impl Gathering {
    /// Sends everybody away, once what they do is kept: nothing is written down afterwards.
    pub(super) async fn end(self) {
        // Neither fails but for a crowd that is gone.
        let _told = self.is_over.send(());
        let _gone = self.task.await;
    }
}

/// Has a crowd come.
#[expect(clippy::disallowed_methods, reason = "the demo ends it")]
pub(super) fn gather(room: Arc<KeptRoom>) -> Gathering {
    let (is_over, mut over) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut crowd = Crowd::default();
        loop {
            if let Err(trouble) = crowd.step(&room).await {
                tracing::debug!(%trouble, "nobody of the crowd moved");
            }
            if tokio::time::timeout(STEP, &mut over).await.is_ok() {
                return;
            }
        }
    });
    Gathering { task, is_over }
}

impl Crowd {
    async fn step(&mut self, room: &KeptRoom) -> Result<(), Trouble> {
        let now = u32::try_from(super::seconds()).unwrap_or(u32::MAX);
        // After a reset nobody of them is known any more.
        let is_known = |id: &RequestId| room.look(|room| room.find(*id).is_some()).unwrap_or(true);
        self.waiting.retain(is_known);
        self.inside.retain(is_known);
        while self.waiting.len() < IN_LINE {
            self.waiting.push_back(room.join(None, now).await?);
        }
        while let Some(first) = self.waiting.front().copied() {
            if room.take_turn(first, now, Wish::default()).await?.is_err() {
                break;
            }
            self.waiting.pop_front();
            self.inside.push_back(first);
        }
        while self.inside.len() > INSIDE {
            let Some(gone) = self.inside.pop_front() else { break };
            // One of four finds nothing.
            let ending = if gone.0.first().is_some_and(|first| first.is_multiple_of(4)) {
                Ending::Abandoned
            } else {
                Ending::Completed
            };
            room.end(gone, ending, now).await?;
        }
        Ok(())
    }
}
