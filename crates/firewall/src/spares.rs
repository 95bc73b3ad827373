//! Transactions between two requests: the next request takes the room of one, and what it found out about values.

use std::sync::Arc;

use parking_lot::Mutex;
use waf::{Environment, Rules, Transaction};

/// Transactions that wait for a request, all of one set of rules. The one that came last goes first.
#[derive(Default)]
pub(crate) struct Spares(Mutex<Vec<Transaction>>);

impl Spares {
    /// A transaction of which nothing is known yet.
    pub(crate) fn take(&self, rules: &Arc<Rules>, environment: Environment) -> Transaction {
        let spare = self.0.lock().pop();
        match spare {
            Some(spare) => spare.renew(environment),
            None => Transaction::new(Arc::clone(rules), environment),
        }
    }

    /// Takes one back whose request is done. Nothing of the request stays.
    pub(crate) fn give(&self, mut transaction: Transaction) {
        transaction.rest();
        let mut spares = self.0.lock();
        if spares.len() < MOST {
            spares.push(transaction);
        }
    }
}

/// So many wait. There are more on their way when backends are slow, but only so many are begun and done at the same time.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use waf::{Compatibility, Phase};

    use super::*;

    #[test]
    fn a_transaction_serves_again_without_anything_of_its_request() {
        let content = "SecRule ARGS x \"id:1,phase:1,pass,setvar:tx.a=1\"";
        let rules = Arc::new(Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap());
        let spares = Spares::default();
        let mut first = spares.take(&rules, Environment::default());
        first.request_line(b"GET", b"/?a=x", b"HTTP/1.1");
        first.phase(Phase::RequestHead);
        assert_eq!((first.matches().count(), first.tx("a")), (1, Some(&b"1"[..])));

        spares.give(first);
        let mut second = spares.take(&rules, Environment::default());

        assert!(spares.0.lock().is_empty());
        second.phase(Phase::RequestHead);
        assert_eq!((second.matches().count(), second.tx("a")), (0, None));
    }

    #[test]
    fn no_more_wait_than_there_is_use_for() {
        let rules = Arc::new(Rules::parse("a.conf", b"", Compatibility::Strict).unwrap());
        let spares = Spares::default();
        let taken: Vec<_> = (0..MOST + 3).map(|_| spares.take(&rules, Environment::default())).collect();
        for transaction in taken {
            spares.give(transaction);
        }
        assert_eq!(spares.0.lock().len(), MOST);
    }
}
