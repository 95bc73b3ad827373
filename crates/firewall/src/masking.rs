//! What of a request nobody may read in a log.

use waf::{Masked, Matched, Transaction, Variable};
use watch::Secrets;

/// What is written in place of it.
pub(crate) const STARS: &str = "***";

/// What of one transaction is a secret: by names that secrets usually have, and by what rules say (`sanitiseArg` and others).
pub(crate) struct Masking<'a> {
    secrets: Secrets,
    more: &'a [Masked],
}

/// How far a match tells a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Secrecy {
    /// Not at all.
    None,
    /// Its value has names and values in it, some of which may be secrets.
    Within,
    /// It is one.
    Whole,
}

impl<'a> Masking<'a> {
    pub(crate) fn of(transaction: &'a Transaction) -> Self {
        let more = transaction.masked();
        let arguments = more.iter().filter_map(|more| match more {
            Masked::Argument(name) => Some(&**name),
            _ => None,
        });
        Self { secrets: Secrets::and(arguments), more }
    }

    /// How far a match tells a secret.
    pub(crate) fn secrecy(&self, matched: &Matched<'_>) -> Secrecy {
        if self.more.iter().any(|more| matches!(more, Masked::Matched | Masked::MatchedBytes)) {
            return Secrecy::Whole;
        }
        let name = matched.name().unwrap_or_default();
        let is_secret = match matched.variable() {
            _ if matched.is_count() => false,
            Variable::Args | Variable::ArgsGet | Variable::ArgsPost => self.is_secret_argument(name),
            Variable::RequestHeaders => self.is_secret_header(name),
            Variable::ResponseHeaders => name.eq_ignore_ascii_case(b"set-cookie") || self.is_masked_answer(name),
            // A session's id is a secret, and nobody knows by which name.
            Variable::RequestCookies => true,
            _ => false,
        };
        if is_secret {
            return Secrecy::Whole;
        }
        match matched.variable() {
            Variable::QueryString
            | Variable::RequestUri
            | Variable::RequestUriRaw
            | Variable::RequestLine
            | Variable::RequestBody
            | Variable::StreamInputBody => Secrecy::Within,
            Variable::RequestHeaders if is_address(name) => Secrecy::Within,
            _ => Secrecy::None,
        }
    }

    /// What may be read of a text that has names and values in it.
    pub(crate) fn within(&self, text: &str) -> String {
        let mut kept = String::with_capacity(text.len());
        let (path, query) = text.split_once('?').map_or(("", text), |(path, query)| (path, query));
        if path.len() < text.len() && !path.is_empty() {
            kept.push_str(path);
            kept.push('?');
        }
        self.secrets.mask(query, |piece| kept.push_str(piece));
        kept
    }

    /// Whether nobody may read a header of a request.
    pub(crate) fn is_secret_header(&self, name: &[u8]) -> bool {
        ALWAYS.iter().any(|always| always.as_bytes().eq_ignore_ascii_case(name))
            || self.secrets.is_secret(name)
            || self.more.iter().any(|more| matches!(more, Masked::RequestHeader(masked) if is_same(masked, name)))
    }

    fn is_secret_argument(&self, name: &[u8]) -> bool {
        // Members of JSON are named by their path.
        self.secrets.is_secret(name.rsplit(|byte| *byte == b'.').next().unwrap_or(name)) || self.secrets.is_secret(name)
    }

    pub(crate) fn is_masked_answer(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(b"set-cookie")
            || self.more.iter().any(|more| matches!(more, Masked::ResponseHeader(masked) if is_same(masked, name)))
    }
}

/// Whether the value of a header is an address with a query in it.
pub(crate) fn is_address(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"referer")
}

fn is_same(masked: &str, name: &[u8]) -> bool {
    masked.as_bytes().eq_ignore_ascii_case(name)
}

/// Headers whose names do not look like a secret's.
const ALWAYS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use waf::{Compatibility, Environment, Phase, Rules};

    use super::*;

    fn secrecies(rule: &str) -> Vec<Secrecy> {
        let rules = Arc::new(Rules::parse("a.conf", rule.as_bytes(), Compatibility::Strict).unwrap());
        let mut transaction = Transaction::new(rules, Environment::default());
        transaction.request_line(b"GET", b"/?name=x&password=x&user.password=x", b"HTTP/1.1");
        transaction.request_header(b"cookie", b"a=x");
        transaction.request_header(b"authorization", b"x");
        transaction.phase(Phase::RequestHead);
        let masking = Masking::of(&transaction);
        transaction.matches().map(|matched| masking.secrecy(&matched)).collect()
    }

    #[test]
    fn what_names_say_to_be_a_secret_is_one() {
        let rule = |targets: &str, more: &str| format!("SecRule {targets} \"@rx x\" \"id:1,phase:1,pass{more}\"");
        assert_eq!(secrecies(&rule("ARGS", "")), [Secrecy::None, Secrecy::Whole, Secrecy::Whole]);
        assert_eq!(secrecies(&rule("REQUEST_COOKIES|REQUEST_HEADERS:authorization", "")), [Secrecy::Whole; 2]);
        assert_eq!(secrecies(&rule("QUERY_STRING", "")), [Secrecy::Within]);
        assert_eq!(secrecies(&rule("ARGS:name", ",sanitiseArg:name")), [Secrecy::Whole]);
        assert_eq!(secrecies(&rule("ARGS:name", ",sanitiseMatched")), [Secrecy::Whole]);
    }

    #[test]
    fn values_of_secrets_are_replaced_within_a_text() {
        let rules = Arc::new(Rules::parse("a.conf", b"", Compatibility::Strict).unwrap());
        let transaction = Transaction::new(rules, Environment::default());
        let masking = Masking::of(&transaction);
        assert_eq!(masking.within("/a?b=c&password=d"), "/a?b=c&password=***");
        assert_eq!(masking.within("b=c&token=d"), "b=c&token=***");
        assert_eq!(masking.within("/a?"), "/a?");
    }
}
