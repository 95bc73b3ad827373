//! What is to be seen at a moment.

/// What is to be seen at a moment.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// How it stands.
    pub situation: Situation,
    /// The visitor's place, if they have one.
    pub place: Option<Place>,
    /// The number of the place that they had before, if its turn came and they did not take it in time.
    pub missed: Option<u32>,
    /// For how many seconds a turn can be taken. None: for ever.
    pub holds: Option<u32>,
    /// Which line it is: another number after a reset, after that was undone, and once lots are drawn.
    pub line: u32,
    /// How long they will wait, if that is known.
    pub expected: Option<Expected>,
    /// After so many seconds the page looks again.
    pub pause: u64,
    /// Whether it does so by itself.
    pub update: Update,
    /// What it does while nobody sees it, where it has no stream.
    pub unseen: Unseen,
    /// The query of the page that is waited for.
    pub query: &'a str,
    /// What has to be done before.
    pub work: Option<Work<'a>>,
}

/// How a room stands to a visitor. Moments are seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// They wait, and the line moves.
    Waiting,
    /// They have no place, and get one by work.
    Joining,
    /// The room has not opened, and nobody can join.
    Idle {
        /// When it opens, if that is known.
        opens: Option<u32>,
    },
    /// The room has not opened; who is here has joined.
    Early {
        /// When it opens, if that is known.
        opens: Option<u32>,
        /// How places come about.
        places: Places,
    },
    /// The room has opened, and they get a place once lots are drawn.
    Drawing,
    /// Nobody is let in for the time being.
    Paused,
    /// Nobody is let in any more.
    Closed,
    /// They are not in, and sent something that only a page can send again, such as a form.
    Unsent,
}

/// How places come about that are given before a room opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// In the order in which people came.
    InOrder,
    /// By lot.
    Drawn,
}

/// Where somebody is in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of their place.
    pub position: u32,
    /// How many are served before them.
    pub ahead: u64,
    /// The serving number.
    pub serving: i64,
    /// What the serving number was when they came.
    pub since: i64,
}

/// How long somebody will wait, in seconds: in four of five cases at least, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Hardly less.
    pub least: u32,
    /// Hardly more.
    pub most: u32,
}

/// Whether a page updates by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// It does.
    #[default]
    Live,
    /// The visitor does not want it to.
    Still,
}

/// What a page does by itself that nobody sees, behind others or in a pocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unseen {
    /// It waits until somebody looks at it.
    #[default]
    Rests,
    /// It goes on to ask: who gives no sign is taken for absent.
    Asks,
}

/// Work that a browser does before somebody has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work<'a> {
    /// What it answers.
    pub challenge: &'a str,
    /// How hard it is.
    pub difficulty: u8,
    /// The name of the cookie that the answer is kept in.
    pub cookie: &'a str,
    /// The script that does it. It finds the others in the element `proof`.
    pub script: &'a str,
    /// What stands in the query of who joins without it; None: nobody can.
    pub without: Option<&'a str>,
}

impl<'a> View<'a> {
    /// What somebody sees of whom nothing else is known.
    pub fn of(situation: Situation, query: &'a str) -> Self {
        Self {
            situation,
            place: None,
            missed: None,
            holds: None,
            line: 0,
            expected: None,
            pause: 15,
            update: Update::Live,
            unseen: Unseen::Rests,
            query,
            work: None,
        }
    }
}

impl Situation {
    /// Whether its page has a script of its own that looks again. To load a page again that answers what was sent would send
    /// that again.
    pub(crate) fn looks_again(self) -> bool {
        match self {
            Self::Joining | Self::Unsent => false,
            Self::Waiting | Self::Idle { .. } | Self::Early { .. } | Self::Drawing | Self::Paused | Self::Closed => {
                true
            }
        }
    }

    /// Its name in what scripts are told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Joining => "joining",
            Self::Idle { .. } => "idle",
            Self::Early { .. } => "early",
            Self::Drawing => "drawing",
            Self::Paused => "paused",
            Self::Closed => "closed",
            Self::Unsent => "unsent",
        }
    }

    /// When the room opens.
    pub fn opens(self) -> Option<u32> {
        match self {
            Self::Idle { opens } | Self::Early { opens, .. } => opens,
            Self::Waiting | Self::Joining | Self::Drawing | Self::Paused | Self::Closed | Self::Unsent => None,
        }
    }
}
