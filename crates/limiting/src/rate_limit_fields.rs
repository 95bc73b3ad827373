//! The `RateLimit-Policy` and `RateLimit` fields (draft-ietf-httpapi-ratelimit-headers-10).

use std::sync::OnceLock;
use std::time::Duration;

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};
use limits::Decision;
use pipeline::{ChainBuilder, Exchange, Figures};
use problem::{Finding, Pointer};
use smallvec::SmallVec;

use crate::line::Line;

/// One policy's members of the two fields.
///
/// What stands there for an exchange is kept in plain numbers between request and response, so that all that is
/// allocated is the field's own text.
pub(crate) struct Fields {
    /// `"name"`, ready to be written.
    name: Box<[u8]>,
    /// The member of `RateLimit-Policy`, if it is the same for every request.
    policy: Option<HeaderValue>,
    /// The member for the allowance that was asked for first, since many requests have the same.
    first: OnceLock<(Allowance, HeaderValue)>,
    standing: Figures<3>,
}

/// How much, and in how many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) quota: u64,
    pub(crate) seconds: u64,
}

impl Fields {
    /// For a policy whose allowance is the same for every request.
    pub(crate) fn fixed(name: &str, allowance: Allowance, chain: &mut ChainBuilder) -> Self {
        let mut fields = Self::varying(name, chain);
        fields.policy = fields.policy_member(allowance);
        fields
    }

    /// For a policy whose allowance depends on the request.
    pub(crate) fn varying(name: &str, chain: &mut ChainBuilder) -> Self {
        Self {
            name: format!("\"{name}\"").into_bytes().into(),
            policy: None,
            first: OnceLock::new(),
            standing: chain.figures(),
        }
    }

    /// For a policy that limits something else than requests over time.
    pub(crate) fn in_units(name: &str, quota: u64, unit: &str, chain: &mut ChainBuilder) -> Self {
        let mut fields = Self::varying(name, chain);
        fields.policy = HeaderValue::try_from(format!("\"{name}\";q={quota};qu=\"{unit}\"")).ok();
        fields
    }

    /// Keeps for [`Self::write`] what was decided.
    pub(crate) fn keep(&self, exchange: &mut Exchange, decision: &Decision, seconds: u64) {
        let resets_in = whole_seconds(decision.resets_in);
        exchange.set_figures(self.standing, [decision.limit, decision.remaining, pack(seconds, resets_in)]);
    }

    /// Whether anything was kept for this exchange.
    pub(crate) fn has_decided(&self, exchange: &Exchange) -> bool {
        let [_, _, times] = exchange.figures(self.standing);
        times != 0
    }

    /// Corrects what is left.
    pub(crate) fn correct(&self, exchange: &mut Exchange, remaining: u64) {
        let [limit, _, times] = exchange.figures(self.standing);
        exchange.set_figures(self.standing, [limit, remaining, times]);
    }

    /// Keeps what is left of something that no time brings back.
    pub(crate) fn keep_remaining(&self, exchange: &mut Exchange, remaining: u64) {
        exchange.set_figures(self.standing, [0, remaining, WITHOUT_TIME]);
    }

    /// Writes both members into the response, in front of those that are there, if anything was decided.
    pub(crate) fn write(&self, exchange: &Exchange, headers: &mut HeaderMap) {
        let [limit, remaining, times] = exchange.figures(self.standing);
        if times == 0 {
            return;
        }
        let (seconds, resets_in) = unpack(times);
        let policy = match &self.policy {
            Some(policy) => Some(policy.clone()),
            None => self.policy_of(Allowance { quota: limit, seconds }),
        };
        let mut member = Line::<MEMBER>::new();
        member.push(&self.name);
        member.push(b";r=");
        member.push_number(remaining.min(LARGEST));
        if times != WITHOUT_TIME {
            member.push(b";t=");
            member.push_number(resets_in);
        }
        for (field, member) in
            [(&RATE_LIMIT_POLICY, policy), (&RATE_LIMIT, HeaderValue::from_bytes(member.as_bytes()).ok())]
        {
            if let Some(member) = member {
                put_in_front(headers, field, member);
            }
        }
    }

    fn policy_of(&self, allowance: Allowance) -> Option<HeaderValue> {
        match self.first.get() {
            Some((known, member)) if *known == allowance => Some(member.clone()),
            Some(_) => self.policy_member(allowance),
            None => {
                let member = self.policy_member(allowance)?;
                // Whoever is first, all members are as good.
                self.first.set((allowance, member.clone())).ok();
                Some(member)
            }
        }
    }

    fn policy_member(&self, Allowance { quota, seconds }: Allowance) -> Option<HeaderValue> {
        let mut member = Line::<MEMBER>::new();
        member.push(&self.name);
        member.push(b";q=");
        member.push_number(quota.min(LARGEST));
        member.push(b";w=");
        member.push_number(seconds);
        HeaderValue::from_bytes(member.as_bytes()).ok()
    }
}

/// The name that clients read: the operator's, or the policy's with its number if there are several.
pub(crate) fn name(written: Option<&str>, policy: &str, at: &Pointer, chain: &ChainBuilder) -> Result<String, Finding> {
    let Some(name) = written else {
        let place = chain.place();
        let number = place.rsplit('/').next().filter(|number| *number != "1");
        return Ok(number.map_or_else(|| policy.to_owned(), |number| format!("{policy}-{number}")));
    };
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter));
    if !fits {
        let message = format!("`{name}` is no name: write 1 to {LONGEST_NAME} letters, digits, `-`, `_` or `.`");
        return Err(Finding::new(&at.at("name"), message));
    }
    Ok(name.to_owned())
}

/// Whole seconds, rounded up: nobody is told to come too early.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// As [`whole_seconds`], and never at once, for `Retry-After`.
pub(crate) fn retry_after(wait: Duration) -> (u64, HeaderValue) {
    let seconds = whole_seconds(wait).max(1);
    (seconds, HeaderValue::from(seconds))
}

/// `3 seconds`, or `1 second`.
pub(crate) fn plural(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

fn put_in_front(headers: &mut HeaderMap, field: &HeaderName, member: HeaderValue) {
    match headers.entry(field) {
        Entry::Vacant(entry) => {
            entry.insert(member);
        }
        Entry::Occupied(mut entry) => {
            let mut list = SmallVec::<[u8; 256]>::from_slice(member.as_bytes());
            for value in entry.iter() {
                list.extend_from_slice(b", ");
                list.extend_from_slice(value.as_bytes());
            }
            if let Ok(list) = HeaderValue::from_bytes(&list) {
                entry.insert(list);
            }
        }
    }
}

/// Two times of at most 136 years in one number that is never zero.
fn pack(seconds: u64, resets_in: u64) -> u64 {
    const MOST: u64 = u32::MAX as u64;
    (seconds.clamp(1, MOST) << 32) | resets_in.min(MOST)
}

fn unpack(times: u64) -> (u64, u64) {
    (times >> 32, times & u64::from(u32::MAX))
}

/// No time that [`pack`] makes, because its upper half is never zero.
const WITHOUT_TIME: u64 = 1;

/// The largest integer that a structured field can have (RFC 9651, section 3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

const LONGEST_NAME: usize = 64;

/// Room for a name in quotes and two numbers.
const MEMBER: usize = LONGEST_NAME + 2 + 2 * (3 + 20);

static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
