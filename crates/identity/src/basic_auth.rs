//! `basic-auth`: finds out by name and password who calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use parking_lot::Mutex;
use pipeline::{AskOnRequest, Caller, ChainBuilder, Exchange, Flow, Policy, Stage, Step};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The request has no name and password.
pub static BASIC_AUTH_MISSING: ProblemKind = ProblemKind {
    code: "basic-auth-missing",
    status: StatusCode::UNAUTHORIZED,
    title: "A name and a password are needed",
};

/// There is no such user, or the password is another one. Which of them, nobody learns.
pub static BASIC_AUTH_WRONG: ProblemKind = ProblemKind {
    code: "basic-auth-wrong",
    status: StatusCode::UNAUTHORIZED,
    title: "The name or the password is wrong",
};

/// So many passwords wait to be checked that this one is not.
pub static BASIC_AUTH_BUSY: ProblemKind = ProblemKind {
    code: "basic-auth-busy",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Too many passwords are being checked",
};

/// How long a password that was right needs no new check.
const REMEMBERED: Duration = Duration::from_mins(1);

/// The longest `authorization` that is looked at: a check costs memory and time.
const LONGEST: usize = 1024;

/// Passwords that may wait to be checked.
const MOST_WAITING: usize = 64;

/// The dearest hash that a user may have: memory in KiB, and passes over it.
const MOST_MEMORY: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;

/// Finds out by name and password who calls (RFC 7617).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Users by name, with the Argon2id hash of each password (`$argon2id$v=19$...`), best by `${file:...}`.
    /// `vestibule hash-password` makes one.
    users: BTreeMap<String, String>,
    /// What the password is for, as browsers show it. Left out, it is the API's name.
    realm: Option<String>,
    /// Whether name and password are taken out of the request before the upstream sees it.
    #[serde(default)]
    strip: Strip,
}

/// What becomes of name and password in the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strip {
    /// The upstream never sees them.
    #[default]
    Remove,
    /// The upstream sees them.
    Keep,
}

/// The compiled policy.
pub struct BasicAuth {
    users: BTreeMap<Box<str>, User>,
    /// What a stranger's password is compared to, so that it takes as long as a user's.
    nobody: Arc<PasswordHash>,
    /// Keys the digests of remembered passwords; it never leaves this policy.
    remembering: hmac::Key,
    checks: Arc<Checks>,
    challenge: HeaderValue,
    strip: Strip,
}

struct User {
    hash: Arc<PasswordHash>,
    caller: Arc<Caller>,
    remembered: Mutex<Option<Remembered>>,
}

/// A password that was right: its keyed digest, and when it was checked.
#[derive(Clone, Copy)]
struct Remembered {
    digest: [u8; 32],
    since: Instant,
}

/// How many passwords are checked at a time, by all uses of this policy: each takes a core and megabytes.
struct Checks {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Leaves the queue when it is dropped, however the wait ended.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Policy for BasicAuth {
    const NAME: &'static str = "basic-auth";
    const STAGE: Stage = Stage::Identify;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&BASIC_AUTH_MISSING, &BASIC_AUTH_WRONG, &BASIC_AUTH_BUSY];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let Config { users: written, realm, strip } = config;
        let at_users = at.at("users");
        let mut users = BTreeMap::new();
        for (name, hash) in written {
            let user = user(&name, &hash).map_err(|reason| Finding::new(&at_users.at(&name), reason))?;
            users.insert(name.into_boxed_str(), user);
        }
        let Some(nobody) = users.values().max_by_key(|user| cost(&user.hash)).and_then(|user| nobody(&user.hash))
        else {
            return Err(Finding::new(&at_users, "has no users, so nobody can pass: name at least one"));
        };
        let realm = realm.unwrap_or_else(|| chain.scope().to_owned());
        if realm.contains(['"', '\\']) {
            return Err(Finding::new(&at.at("realm"), "has a `\"` or `\\`, which no client reads alike"));
        }
        let Ok(challenge) = HeaderValue::from_str(&format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")) else {
            return Err(Finding::new(&at.at("realm"), "has a character that stands in no header"));
        };
        let mut key = [0; 32];
        if rand::fill(&mut key).is_err() {
            return Err(Finding::new(at, "cannot be used: the system gives no randomness"));
        }
        let remembering = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let checks = chain.keep(Some("checks"), Checks::new);
        Ok(Self { users, nobody: Arc::new(nobody), remembering, checks, challenge, strip })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.ask_on_request(self);
    }
}

impl AskOnRequest for BasicAuth {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let Some(value) = exchange.headers().get(AUTHORIZATION) else {
            return Step::Now(Ok(self.refusal(&BASIC_AUTH_MISSING)));
        };
        let (name, password) = match credentials(value) {
            Credentials::OfAnotherScheme => return Step::Now(Ok(self.refusal(&BASIC_AUTH_MISSING))),
            Credentials::Unreadable => return Step::Now(Ok(self.refusal(&BASIC_AUTH_WRONG))),
            Credentials::Basic(name, password) => (name, password),
        };
        let user = self.users.get(name.as_str());
        let digest = self.digest(&name, &password);
        if let Some(user) = user
            && user.remembers(&digest, exchange.began)
        {
            return Step::Now(Ok(self.admit(exchange, user)));
        }
        Step::Wait(Box::pin(async move {
            let Some(permit) = self.checks.permit().await else {
                let busy = Problem::new(&BASIC_AUTH_BUSY).header(RETRY_AFTER, HeaderValue::from_static("1"));
                return Ok(busy.into());
            };
            let hash = user.map_or(&self.nobody, |user| &user.hash).clone();
            let is_right = is_right(password, hash, permit).await?;
            match user {
                Some(user) if is_right => {
                    *user.remembered.lock() = Some(Remembered { digest, since: exchange.began });
                    Ok(self.admit(exchange, user))
                }
                _ => Ok(self.refusal(&BASIC_AUTH_WRONG)),
            }
        }))
    }
}

impl BasicAuth {
    fn admit(&self, exchange: &mut Exchange, user: &User) -> Flow {
        exchange.caller = Some(user.caller.clone());
        if self.strip == Strip::Remove {
            exchange.head.headers.remove(AUTHORIZATION);
        }
        Flow::Next
    }

    fn refusal(&self, kind: &'static ProblemKind) -> Flow {
        Problem::new(kind).header(WWW_AUTHENTICATE, self.challenge.clone()).into()
    }

    fn digest(&self, name: &str, password: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.remembering);
        // No name has a colon, so it parts the two beyond doubt.
        context.update(name.as_bytes());
        context.update(b":");
        context.update(password);
        context.sign().as_ref().first_chunk().copied().unwrap_or_default()
    }
}

impl User {
    fn remembers(&self, digest: &[u8; 32], now: Instant) -> bool {
        let Some(remembered) = *self.remembered.lock() else { return false };
        now.saturating_duration_since(remembered.since) < REMEMBERED
            && verify_slices_are_equal(&remembered.digest, digest).is_ok()
    }
}

impl Checks {
    fn new() -> Self {
        // Half of the cores, so that a storm of wrong passwords leaves the others to traffic.
        let permits = available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        Self { running: Arc::new(Semaphore::new(permits)), waiting: AtomicUsize::new(0) }
    }

    /// Waits for its turn, unless too many wait already.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if MOST_WAITING <= before {
            return None;
        }
        self.running.clone().acquire_owned().await.ok()
    }
}

/// What an `authorization` header says.
enum Credentials {
    OfAnotherScheme,
    Unreadable,
    Basic(String, Vec<u8>),
}

fn credentials(value: &HeaderValue) -> Credentials {
    let Some((scheme, encoded)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
        return Credentials::Unreadable;
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Credentials::OfAnotherScheme;
    }
    if LONGEST < encoded.len() {
        return Credentials::Unreadable;
    }
    let Ok(mut name) = STANDARD.decode(encoded.trim()) else { return Credentials::Unreadable };
    let Some(colon) = name.iter().position(|byte| *byte == b':') else { return Credentials::Unreadable };
    let password = name.split_off(colon + 1);
    name.truncate(colon);
    String::from_utf8(name).map_or(Credentials::Unreadable, |name| Credentials::Basic(name, password))
}

/// Checks a password on a thread for such work. The permit lives as long as the work, even if nobody waits any more.
async fn is_right(
    password: Vec<u8>,
    hash: Arc<PasswordHash>,
    permit: OwnedSemaphorePermit,
) -> Result<bool, tokio::task::JoinError> {
    let check = move || {
        let _permit = permit;
        Argon2::default().verify_password(&password, &*hash).is_ok()
    };
    tokio::task::spawn_blocking(check).await
}

/// The hash of a password as documents hold it, in PHC form: Argon2id, as dear as OWASP advises (19 MiB, two passes).
///
/// # Errors
///
/// Says why there is none: the password is longer than what can be hashed, or the system has no randomness.
pub fn hash(password: &[u8]) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password);
    hash.map(|hash| hash.to_string()).map_err(|error| format!("the password cannot be hashed: {error}"))
}

fn user(name: &str, hash: &str) -> Result<User, String> {
    if name.is_empty() || name.contains(':') || name.contains(char::is_control) {
        return Err("is no user name: those have no colon and no control characters".to_owned());
    }
    // The reason never repeats the hash: findings are shown and logged.
    let hash = PasswordHash::new(hash.trim())
        .map_err(|error| format!("has no password hash in PHC form (`vestibule hash-password` makes one): {error}"))?;
    if hash.algorithm.as_str() != "argon2id" {
        return Err(format!("has a hash by `{}`; make one by `vestibule hash-password`", hash.algorithm));
    }
    let params = Params::try_from(&hash).map_err(|error| format!("has a hash that cannot be checked: {error}"))?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("has a hash that is cut off".to_owned());
    }
    if MOST_MEMORY < params.m_cost() || MOST_PASSES < params.t_cost() {
        return Err(format!("has too dear a hash: at most m={MOST_MEMORY} and t={MOST_PASSES}"));
    }
    let caller = Caller { by: BasicAuth::NAME, credential: name.into(), ..Caller::default() };
    Ok(User { hash: Arc::new(hash), caller: Arc::new(caller), remembered: Mutex::default() })
}

/// How long a check takes, roughly.
fn cost(hash: &PasswordHash) -> u64 {
    Params::try_from(hash).map_or(0, |params| u64::from(params.m_cost()) * u64::from(params.t_cost()))
}

/// A hash as dear as `like` that no password has.
fn nobody(like: &PasswordHash) -> Option<PasswordHash> {
    let params = Params::try_from(like).ok()?;
    let (mut salt, mut output) = ([0; 16], [0; 32]);
    rand::fill(&mut salt).ok()?;
    rand::fill(&mut output).ok()?;
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    let (salt, output) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output));
    PasswordHash::new(&format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${output}")).ok()
}

#[cfg(test)]
mod tests {
    use pipeline::tester::{Judged, policy};
    use serde_json::json;

    use super::*;

    /// A hash as cheap as there can be, so that tests take no time.
    fn cheap(password: &str) -> String {
        let argon2 =
            Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        argon2.hash_password(password.as_bytes()).unwrap().to_string()
    }

    fn basic<'a>(judged: Judged<'a>, credentials: &str) -> Judged<'a> {
        judged.header("authorization", &format!("Basic {}", STANDARD.encode(credentials)))
    }

    #[test]
    fn a_right_password_says_who_calls_and_is_taken_out() {
        let auth = policy::<BasicAuth>(json!({ "users": { "alice": cheap("open: sesame"), "bob": cheap("b") } }));

        for _ in 0..2 {
            let passed = basic(auth.request(), "alice:open: sesame").passes();
            let caller = passed.caller.unwrap();
            assert_eq!((caller.by, &*caller.credential), ("basic-auth", "alice"));
            assert!(passed.head.headers.is_empty());
        }
        let kept = policy::<BasicAuth>(json!({ "users": { "bob": cheap("b") }, "strip": "keep" }));
        assert_eq!(basic(kept.request(), "bob:b").passes().head.headers.len(), 1);
    }

    #[test]
    fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
        let auth = policy::<BasicAuth>(json!({ "users": { "alice": cheap("a") } }));
        basic(auth.request(), "alice:a").passes();

        let wrong = ["alice:b", "alice:", "alice:aa", "Alice:a", "bob:a", ":a", "alice", ""];
        let answers = wrong.map(|wrong| basic(auth.request(), wrong).is_refused_with("basic-auth-wrong"));
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (answers[0].status, &answers[0].body));
        }
        auth.request().header("authorization", "Basic %%%").is_refused_with("basic-auth-wrong");
        let long = "a".repeat(LONGEST);
        basic(auth.request(), &format!("alice:{long}")).is_refused_at_once_with("basic-auth-wrong");
    }

    #[test]
    fn who_sends_nothing_is_asked() {
        let with = json!({ "users": { "alice": cheap("a") }, "realm": "the back office" });
        let auth = policy::<BasicAuth>(with);

        let answer = auth.request().is_refused_with("basic-auth-missing");
        assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"the back office\", charset=\"UTF-8\"");
        auth.request().header("authorization", "Bearer abc").is_refused_with("basic-auth-missing");
    }

    #[test]
    fn a_password_is_remembered_for_a_minute_and_by_this_policy_only() {
        let user = user("alice", &cheap("a")).unwrap();
        let since = Instant::now();
        *user.remembered.lock() = Some(Remembered { digest: [1; 32], since });

        assert!(user.remembers(&[1; 32], since + REMEMBERED / 2));
        assert!(!user.remembers(&[2; 32], since));
        assert!(!user.remembers(&[1; 32], since + REMEMBERED));
        let auth = policy::<BasicAuth>(json!({ "users": { "alice": cheap("old") } }));
        basic(auth.request(), "alice:old").passes();
        let auth = auth.reloaded(json!({ "users": { "alice": cheap("new") } }));
        basic(auth.request(), "alice:old").is_refused_with("basic-auth-wrong");
        basic(auth.request(), "alice:new").passes();
    }

    #[test]
    fn a_stranger_costs_as_much_as_the_dearest_user() {
        let dear = PasswordHash::new(&cheap("a").replace("m=8,t=1", "m=64,t=3")).unwrap();
        assert_eq!(cost(&nobody(&dear).unwrap()), cost(&dear));
        assert_eq!(cost(&dear), 192);
    }

    #[tokio::test]
    async fn the_queue_has_an_end() {
        let checks = Checks { running: Arc::new(Semaphore::new(0)), waiting: AtomicUsize::new(0) };
        {
            let mut waiting: Vec<_> = std::iter::repeat_with(|| Box::pin(checks.permit())).take(MOST_WAITING).collect();
            for wait in &mut waiting {
                assert!(futures::poll!(wait).is_pending());
            }
            assert!(checks.permit().await.is_none());
        }
        assert_eq!(checks.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_mistake_in_the_settings_is_found_without_repeating_the_hash() {
        let finding = |with| policy::<BasicAuth>(with).finding();
        let good = cheap("a");

        assert!(finding(json!({ "users": {} })).starts_with("/with/users: has no users"));
        assert!(finding(json!({ "users": { "a:b": good } })).starts_with("/with/users/a:b: is no user name"));
        for bad in ["plain-password", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ", "$2b$12$abcdefghijklmnopqrstuv"] {
            let finding = finding(json!({ "users": { "alice": bad } }));
            assert!(finding.starts_with("/with/users/alice: has ") && !finding.contains(bad), "{finding}");
        }
        let other = good.replace("argon2id", "argon2i");
        assert!(finding(json!({ "users": { "alice": other } })).contains("vestibule hash-password"));
        let dear = good.replace("m=8", "m=9999999");
        assert!(finding(json!({ "users": { "alice": dear } })).contains("too dear"));
        assert!(finding(json!({ "users": { "alice": good }, "realm": "a\"b" })).starts_with("/with/realm"));
    }
}
