//! Turns that were taken and may not be there for good yet: nobody learns of a token that could still be undone.

use std::collections::HashMap;

use futures::FutureExt;
use parking_lot::Mutex;
use waiting_room::RequestId;

use crate::log::Written;
use crate::{KeptRoom, NotKept};

/// Whose turn was taken, and what has to be written for that.
#[derive(Default)]
pub(crate) struct Entering(Mutex<HashMap<RequestId, Written>>);

impl Entering {
    pub(crate) fn note(&self, id: RequestId, written: Written) {
        self.0.lock().insert(id, written);
    }

    pub(crate) fn has(&self, id: RequestId) -> bool {
        self.0.lock().contains_key(&id)
    }

    /// What happened is read again, and what was not written never happened.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

impl KeptRoom {
    /// Waits until the turn that somebody took is there for good.
    pub(crate) async fn entered(&self, id: RequestId) -> Result<(), NotKept> {
        let written = self.entering().0.lock().get(&id).cloned();
        let Some(written) = written else { return Ok(()) };
        self.settled(&written).await?;
        self.entering().0.lock().remove(&id);
        Ok(())
    }

    /// Forgets turns that are there for good, of those who did not wait for that.
    pub(crate) fn forget_entered(&self) {
        let is_open = |written: &Written| self.settled(written).now_or_never() != Some(Ok(()));
        self.entering().0.lock().retain(|_, written| is_open(written));
    }
}
