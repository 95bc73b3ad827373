//! What an operator says about fairness, compiled.

use std::sync::Arc;

use waiting_room::{Lanes, Lottery};

use crate::{Announced, Caps, Work};

/// What an operator says about fairness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fairness {
    /// Whether those who come before the room opens draw lots.
    pub lottery: Option<Lots>,
    /// Lanes beside everybody's.
    pub lanes: Arc<Lanes>,
    /// How large a share of everybody's lane one network may have.
    pub caps: Option<Caps>,
    /// Who announces which addresses, where that is known.
    pub announced: Option<Announced>,
    /// How hard it is to join.
    pub work: Option<Work>,
}

/// How lots are drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lots {
    /// The public value that the draw waits for, in words. None: it waits for none.
    pub waits_for: Option<Arc<str>>,
}

impl Fairness {
    pub(crate) fn lottery(&self) -> Lottery {
        if self.lottery.is_some() { Lottery::BeforeOpening } else { Lottery::None }
    }
}
