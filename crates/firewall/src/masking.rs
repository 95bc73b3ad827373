//! What of a request nobody may read in a log.

mod known;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use waf::{Masked, Matched, Transaction, Variable};
use watch::Secrets;

use self::known::{Known, PIECE};

/// What is written in place of it.
pub(crate) const STARS: &str = "***";

/// What of one transaction is a secret: by names that secrets usually have, and by what rules say (`sanitiseArg` and others).
pub(crate) struct Masking<'a> {
    transaction: &'a Transaction,
    secrets: Secrets,
    more: &'a [Masked],
    known: OnceCell<Known>,
}

/// How far a match tells a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Secrecy {
    /// Not at all.
    None,
    /// Its value has names and values in it, some of which may be secrets.
    Within,
    /// Its value is a whole body.
    Body,
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
        Self { transaction, secrets: Secrets::and(arguments), more, known: OnceCell::new() }
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
            Variable::QueryString | Variable::RequestUri | Variable::RequestUriRaw | Variable::RequestLine => {
                Secrecy::Within
            }
            Variable::RequestBody
            | Variable::StreamInputBody
            | Variable::FullRequest
            | Variable::FilesTmpContent
            | Variable::ResponseBody
                if !matched.is_count() =>
            {
                Secrecy::Body
            }
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

    /// What may be read of a text that rules put together: no secret of the exchange, whatever it stands next to.
    pub(crate) fn anywhere<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.known.get_or_init(|| self.known()).replaced(text)
    }

    /// The secrets of the transaction.
    fn known(&self) -> Known {
        let mut known = Known::default();
        for (variable, name, value) in self.transaction.named_values() {
            match variable {
                Variable::Args if self.is_secret_argument(name) => known.add(value),
                // Prefixes are no part of a name.
                Variable::Xml if self.secrets.is_secret(last(name, b':')) => known.add(value),
                Variable::RequestHeaders if name.eq_ignore_ascii_case(b"cookie") => {
                    value.split(|byte| *byte == b';').for_each(|cookie| add_cookie(cookie, &mut known));
                }
                Variable::RequestHeaders if self.is_secret_header(name) => known.add(value),
                Variable::RequestHeaders if is_address(name) => self.add_within(value, &mut known),
                Variable::ResponseHeaders if name.eq_ignore_ascii_case(b"set-cookie") => {
                    add_cookie(value.split(|byte| *byte == b';').next().unwrap_or_default(), &mut known);
                }
                Variable::ResponseHeaders if self.is_masked_answer(name) => known.add(value),
                _ => {}
            }
        }
        // As they were sent, before anything was decoded.
        for variable in [Variable::QueryString, Variable::RequestBody] {
            self.add_within(self.transaction.raw(variable).unwrap_or_default(), &mut known);
        }
        known
    }

    /// Adds the secrets of a text that has names and values in it: a query, or JSON that is not said to be such.
    fn add_within(&self, text: &[u8], known: &mut Known) {
        let text = text.get(..LONGEST_READ).unwrap_or(text);
        for place in self.secrets.values(text).into_iter().chain(self.members(text)) {
            known.add(text.get(place).unwrap_or_default());
        }
    }

    /// Where the texts of secret members stand in JSON.
    fn members(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut members = Vec::new();
        let mut name: Option<Range<usize>> = None;
        let mut at = 0;
        while let Some(quote) = text.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'"')) {
            let begin = at + quote + 1;
            // What stands between two texts says whether the first one is the name of the second.
            let between = text.get(at..at + quote).unwrap_or_default().trim_ascii();
            let end = end_of_text(text, begin);
            let of = name.and_then(|name| text.get(name)).filter(|_| between == b":");
            if of.is_some_and(|name| self.secrets.is_secret(name)) {
                members.push(begin..end);
            }
            name = Some(begin..end);
            at = end + 1;
        }
        members
    }

    /// Whether nobody may read a header of a request.
    pub(crate) fn is_secret_header(&self, name: &[u8]) -> bool {
        ALWAYS.iter().any(|always| always.as_bytes().eq_ignore_ascii_case(name))
            || self.secrets.is_secret(name)
            || self.more.iter().any(|more| matches!(more, Masked::RequestHeader(masked) if is_same(masked, name)))
    }

    fn is_secret_argument(&self, name: &[u8]) -> bool {
        // Members of JSON are named by their path, and what is within a secret is one.
        self.secrets.is_secret(name) || name.split(|byte| *byte == b'.').any(|member| self.secrets.is_secret(member))
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

/// Adds the value of a cookie, unless it is too short for the id of a session: of `lang=en` any text has the value.
fn add_cookie(cookie: &[u8], known: &mut Known) {
    let value = cookie.iter().position(|byte| *byte == b'=').and_then(|equals| cookie.get(equals + 1..));
    let value = value.unwrap_or(cookie).trim_ascii();
    if value.len() >= PIECE {
        known.add(value);
    }
}

/// What stands behind the last sign of this kind.
fn last(name: &[u8], sign: u8) -> &[u8] {
    name.rsplit(|byte| *byte == sign).next().unwrap_or(name)
}

/// Where a text in JSON ends that begins here.
fn end_of_text(json: &[u8], begin: usize) -> usize {
    let mut is_escaped = false;
    let ends = |byte: &u8| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    };
    let length = json.get(begin..).and_then(|rest| rest.iter().position(ends));
    length.map_or(json.len(), |length| begin + length)
}

fn is_same(masked: &str, name: &[u8]) -> bool {
    masked.as_bytes().eq_ignore_ascii_case(name)
}

/// Headers whose names do not look like a secret's.
const ALWAYS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// So much of a body is searched for secrets by their names, besides what it was taken apart into.
const LONGEST_READ: usize = 256 * 1024;

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
        assert_eq!(secrecies(&rule("FULL_REQUEST", "")), [Secrecy::Body]);
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
        assert_eq!(masking.within("REQUEST_BODY=password=d&b=c"), "REQUEST_BODY=password=***&b=c");
    }

    #[test]
    fn secrets_are_known_by_their_values_however_they_were_sent() {
        let content = "SecAction \"id:1,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On\"\n\
                       SecRule REQUEST_HEADERS:Content-Type json \"id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
                       SecRule REQUEST_HEADERS:Content-Type xml \"id:3,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"";
        let rules = Arc::new(Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap());
        for (kind, body) in [
            ("application/x-www-form-urlencoded", "password=s3cr%65t&b=c"),
            ("application/json", r#"{"user": {"password": "s3cr\u0065t"}}"#),
            ("application/json", r#"{"tokens": ["a", {"b": "s3cret"}]}"#),
            ("text/xml", "<a><x:password>s3cr&#101;t</x:password></a>"),
            ("text/xml", "<a token='s3cret'/>"),
            ("text/plain", "password=s3cret"),
            ("text/plain", r#"{"a": "b", "password" : "s3cret"}"#),
        ] {
            let mut transaction = Transaction::new(Arc::clone(&rules), Environment::default());
            transaction.request_line(b"POST", b"/", b"HTTP/1.1");
            transaction.request_header(b"Content-Type", kind.as_bytes());
            transaction.phase(Phase::RequestHead);
            transaction.request_body(body.as_bytes().into());
            transaction.phase(Phase::RequestBody);
            assert_eq!(Masking::of(&transaction).anywhere("in S3cret."), "in ***.", "{kind} {body}");
        }
        let mut transaction = Transaction::new(rules, Environment::default());
        transaction.request_line(b"GET", b"/?q=open&sig=fr%6Fm-query", b"HTTP/1.1");
        transaction.request_header(b"Cookie", b"lang=en; session=from-cookie");
        transaction.request_header(b"Authorization", b"Bearer from-header");
        transaction.request_header(b"Referer", b"https://a.example/?token=from-referer");
        transaction.response_header(b"Set-Cookie", b"session=from-answer; HttpOnly");
        let masking = Masking::of(&transaction);
        for secret in ["from-query", "fr%6Fm-query", "from-cookie", "from-header", "from-referer", "from-answer"] {
            let text = format!("en open HttpOnly [{secret}]");
            assert_eq!(masking.anywhere(&text), "en open HttpOnly [***]");
        }
    }
}
