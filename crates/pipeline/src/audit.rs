//! What a firewall tells of an exchange to those who count and log.

/// What a firewall found in an exchange.
pub trait Audited: Send + Sync {
    /// What became of the exchange.
    fn reached(&self) -> Reached;
    /// The groups of the rules that matched, each with how often one of its rules did.
    fn groups(&self) -> &[(Box<str>, u64)];
    /// Whether it belongs into the audit log.
    fn is_logged(&self) -> bool;
    /// Appends what is told of it as a JSON object, without the end of a line.
    fn json(&self, to: &mut Vec<u8>);
    /// Appends the sections of `ModSecurity`'s audit log, without the end of the last line.
    fn sections(&self, to: &mut Vec<u8>);
}

/// What became of an exchange that a firewall looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It was let pass, though rules matched.
    Detected,
    /// The request was blocked.
    BlockedRequest,
    /// The answer was blocked.
    BlockedAnswer,
}

impl Reached {
    /// As logs and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::BlockedRequest => "request-blocked",
            Self::BlockedAnswer => "answer-blocked",
        }
    }
}
