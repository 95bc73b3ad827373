//! What rules remember, as they see it from one request to the next.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail like one")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use firewall::Collections;
use store::UnixMicros;
use waf::{Compatibility, Environment, Moment, Persistence, Phase, Rules, Transaction};

/// Requests of one client, one after another.
struct Client {
    rules: Arc<Rules>,
    collections: Arc<Collections>,
    /// In seconds.
    now: Arc<AtomicU64>,
}

impl Client {
    fn of(content: &str) -> Self {
        let content = format!("SecAction \"id:1000,phase:1,nolog,pass,initcol:ip=%{{REMOTE_ADDR}}\"\n{content}");
        let now = Arc::new(AtomicU64::new(1000));
        let clock = now.clone();
        let clock = Arc::new(move || UnixMicros(clock.load(Ordering::Relaxed) * 1_000_000));
        let rules = Arc::new(Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap());
        Self { rules, collections: Arc::new(Collections::alone(clock)), now }
    }

    /// So many seconds later, the client sends a query; the rules that log.
    fn asks(&self, after: u64, query: &[u8]) -> Vec<u64> {
        let seconds = self.now.fetch_add(after, Ordering::Relaxed) + after;
        let persistence: Arc<dyn Persistence> = self.collections.clone();
        let now = Moment { seconds, micros: 0, offset: 0 };
        let environment = Environment { now, persistence: Some(persistence), ..Environment::default() };
        let mut transaction = Transaction::new(self.rules.clone(), environment);
        transaction.connection("192.0.2.7:4000".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
        transaction.request_line(b"GET", query, b"HTTP/1.1");
        transaction.phase(Phase::RequestHead);
        transaction.phase(Phase::Logging);
        let logged = transaction.matches().filter(waf::Matched::is_logged).filter_map(|one| one.rule()?.id()).collect();
        transaction.finish();
        logged
    }
}

#[test]
fn a_timer_holds_for_a_value_that_is_set_after_it_and_for_one_that_is_set_again() {
    for order in ["expirevar:ip.banned=60,setvar:ip.banned=1", "setvar:ip.banned=1,expirevar:ip.banned=60"] {
        let client = Client::of(&format!(
            "SecRule IP:banned \"@eq 1\" \"id:1,phase:1,pass\"\n\
             SecRule ARGS:ban . \"id:2,phase:1,nolog,pass,{order}\"\n\
             SecRule ARGS:again . \"id:3,phase:1,nolog,pass,setvar:ip.BANNED=1\""
        ));
        assert_eq!(client.asks(0, b"/?ban=1"), [] as [u64; 0], "{order}");
        assert_eq!(client.asks(30, b"/?again=1"), [1], "{order}");
        assert_eq!(client.asks(20, b"/"), [1], "{order}");
        assert_eq!(client.asks(20, b"/"), [] as [u64; 0], "{order}");
    }
}

#[test]
fn deprecatevar_lowers_a_value_by_the_time_since_the_collection_was_changed_also_behind_setvar() {
    let client = Client::of(
        "SecRule ARGS:hit . \"id:1,phase:1,nolog,pass,setvar:ip.score=+5,deprecatevar:ip.score=2/10\"\n\
         SecRule IP:score \"@eq 5\" \"id:5,phase:1,pass\"\nSecRule IP:score \"@eq 6\" \"id:6,phase:1,pass\"\n\
         SecRule IP:score \"@eq 10\" \"id:10,phase:1,pass\"",
    );
    assert_eq!(client.asks(0, b"/?hit=1"), [5]);
    assert_eq!(client.asks(9, b"/?hit=1"), [10]);
    // 10 and 5, less 2 for each of four times ten seconds and a bit.
    assert_eq!(client.asks(45, b"/?hit=1"), [] as [u64; 0]);
    assert_eq!(client.asks(30, b"/?hit=1"), [6]);
    assert_eq!(client.asks(0, b"/"), [6]);
}

#[test]
fn collections_have_their_members_and_names_in_any_case() {
    let client = Client::of(
        "SecRule IP:IS_NEW \"@eq 1\" \"id:1,phase:1,pass\"\n\
         SecRule IP:LAST_UPDATE_TIME \"@eq 1000\" \"id:2,phase:1,pass\"\n\
         SecRule IP:TIMEOUT \"@eq 3600\" \"id:3,phase:1,pass\"\n\
         SecRule ARGS:short . \"id:4,phase:1,nolog,pass,setvar:ip.timeout=60\"\n\
         SecAction \"id:5,phase:1,nolog,pass,setvar:ip.Seen=+1,setvar:ip.seen=+1\"\n\
         SecRule IP:SEEN \"@eq 4\" \"id:6,phase:1,pass\"\nSecRule &IP:seen \"@gt 1\" \"id:7,phase:1,pass\"\n\
         SecRule ARGS:forget . \"id:8,phase:1,nolog,pass,setvar:!ip.SEEN\"",
    );
    assert_eq!(client.asks(0, b"/"), [1, 3]);
    assert_eq!(client.asks(10, b"/?short=1"), [2, 3, 6]);
    assert_eq!(client.asks(59, b"/?forget=1"), [] as [u64; 0]);
    // It was forgotten, and a minute without a change ends a collection whose TIMEOUT says so.
    assert_eq!(client.asks(61, b"/"), [1, 3]);
    for member in ["CREATE_TIME", "update_counter", "UPDATE_RATE"] {
        let rule = format!("SecRule IP:{member} \"@gt 1\" \"id:1,phase:1,pass\"");
        let found = Rules::parse("a.conf", rule.as_bytes(), Compatibility::Strict).unwrap_err();
        assert!(found[0].message.contains("cannot be done here: collections do not keep since when"), "{found:?}");
    }
}

#[test]
fn a_value_that_is_no_text_comes_back_as_it_was() {
    let client = Client::of(
        "SecRule ARGS:keep \"@rx (.+)\" \"id:1,phase:1,nolog,pass,capture,setvar:ip.kept=%{TX.1}\"\n\
         SecRule IP:kept \"@rx ^a\\xff\\x00b$\" \"id:2,phase:1,pass\"",
    );
    assert_eq!(client.asks(0, b"/?keep=a%ff%00b"), [2]);
    assert_eq!(client.asks(1, b"/"), [2]);
}
