//! Who is signed in, and links by which one can sign in once.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Who is signed in. All times are seconds since 1970.
#[derive(Default)]
pub(crate) struct Sessions {
    open: HashMap<Name, Session>,
    links: HashMap<Name, Link>,
}

/// A session or a link is known by the hash of what its holder has: a look-up tells nothing by the time that it takes.
type Name = [u8; 32];

struct Session {
    token: Box<str>,
    /// It ends then in any case.
    ends: u64,
    /// It ends then if nobody uses it.
    idle: u64,
}

struct Link {
    token: Box<str>,
    ends: u64,
}

impl Sessions {
    /// Signs somebody in who has a token; returns what their browser shows from now on, and until when at most. None: the system
    /// has no randomness.
    pub(crate) fn begin(&mut self, token: &str, now: u64) -> Option<(String, u64)> {
        self.tidy(now);
        if self.open.len() >= MOST {
            // Whoever was idle for longest has to sign in again.
            let oldest = self.open.iter().min_by_key(|(_, session)| session.idle).map(|(name, _)| *name);
            oldest.map(|name| self.open.remove(&name));
        }
        let shown = secret()?;
        let ends = now + LONGEST;
        self.open.insert(name(&shown), Session { token: token.into(), ends, idle: now + IDLE });
        Some((shown, ends))
    }

    /// The token of who is signed in, and until when at most.
    pub(crate) fn token(&mut self, shown: &str, now: u64) -> Option<(Box<str>, u64)> {
        let session = self.open.get_mut(&name(shown)).filter(|session| now < session.ends && now < session.idle)?;
        session.idle = now + IDLE;
        Some((session.token.clone(), session.ends))
    }

    /// Signs somebody out.
    pub(crate) fn end(&mut self, shown: &str) {
        self.open.remove(&name(shown));
    }

    /// What somebody can sign in by, once and soon.
    pub(crate) fn invite(&mut self, token: &str, now: u64) -> Option<String> {
        self.tidy(now);
        if self.links.len() >= MOST {
            return None;
        }
        let link = secret()?;
        self.links.insert(name(&link), Link { token: token.into(), ends: now + LINK });
        Some(link)
    }

    /// The token behind a link, which is none from now on.
    pub(crate) fn redeem(&mut self, link: &str, now: u64) -> Option<Box<str>> {
        self.links.remove(&name(link)).filter(|link| now < link.ends).map(|link| link.token)
    }

    fn tidy(&mut self, now: u64) {
        self.open.retain(|_, session| now < session.ends && now < session.idle);
        self.links.retain(|_, link| now < link.ends);
    }
}

fn secret() -> Option<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

fn name(secret: &str) -> Name {
    let mut name = [0; 32];
    for (to, from) in name.iter_mut().zip(digest(&SHA256, secret.as_bytes()).as_ref()) {
        *to = *from;
    }
    name
}

/// So many are signed in at a time.
const MOST: usize = 256;
/// After so many seconds one has to sign in again,
const LONGEST: u64 = 8 * 60 * 60;
/// and after so many in which one did nothing.
const IDLE: u64 = 30 * 60;
/// For so many seconds a link is good.
const LINK: u64 = 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_or_old() {
        let mut sessions = Sessions::default();
        let (shown, ends) = sessions.begin("va_x", 0).unwrap();
        assert_eq!((ends, sessions.token("other", 1)), (LONGEST, None));
        for now in (0..LONGEST).step_by(1000) {
            assert_eq!(sessions.token(&shown, now), Some(("va_x".into(), LONGEST)));
        }
        assert_eq!(sessions.token(&shown, LONGEST), None);
        let (idle, _) = sessions.begin("va_x", 0).unwrap();
        assert_eq!(sessions.token(&idle, IDLE), None);
        let (ended, _) = sessions.begin("va_x", 0).unwrap();
        sessions.end(&ended);
        assert_eq!(sessions.token(&ended, 0), None);
    }

    #[test]
    fn a_link_is_good_once_and_soon() {
        let mut sessions = Sessions::default();
        let [first, late] = [0; 2].map(|now| sessions.invite("va_x", now).unwrap());
        assert_eq!(sessions.redeem(&first, 1).as_deref(), Some("va_x"));
        assert_eq!((sessions.redeem(&first, 1), sessions.redeem(&late, LINK)), (None, None));
    }

    #[test]
    fn there_is_room_for_whoever_comes_last() {
        let mut sessions = Sessions::default();
        let (first, _) = sessions.begin("va_x", 0).unwrap();
        let rest: Vec<_> = (1..=MOST as u64).map(|now| sessions.begin("va_x", now).unwrap().0).collect();
        assert_eq!((sessions.open.len(), sessions.token(&first, 300)), (MOST, None));
        assert!(sessions.token(rest.last().unwrap(), 300).is_some());
    }
}
