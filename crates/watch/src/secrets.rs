//! Which query parameters hold secrets by their names, and queries without these secrets.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode;

/// The names of query parameters whose values nobody may read in a log or a trace.
///
/// A name is one of them if it ends like a common name for a secret (`api_key`, `access_token`,
/// `X-Amz-Signature`), in whatever case and encoding, or if it is among `more`.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    more: Vec<Box<[u8]>>,
}

impl Secrets {
    /// The common names, and `more`.
    pub fn and<'a>(more: impl IntoIterator<Item = &'a str>) -> Self {
        Self { more: more.into_iter().map(|name| name.as_bytes().into()).collect() }
    }

    /// Hands a query to `put`, piece by piece, with `***` for each value that is a secret.
    pub fn mask<'a>(&self, query: &'a str, mut put: impl FnMut(&'a str)) {
        // Most queries have no secret and go out in one piece.
        let mut begin = 0;
        for value in self.values(query.as_bytes()) {
            put(query.get(begin..value.start).unwrap_or_default());
            put("***");
            begin = value.end;
        }
        put(query.get(begin..).unwrap_or_default());
    }

    /// Where values that are secrets stand in a query, in their order.
    ///
    /// Some servers part parameters at semicolons, others take these for a piece of the value: so both part
    /// names here, and only `&` ends a secret. So does `=` within a value, which may be an address with a query of
    /// its own.
    pub fn values(&self, query: &[u8]) -> Vec<Range<usize>> {
        let find = |from: usize, stops: &[u8; 3]| {
            let found = query.get(from..).and_then(|rest| rest.iter().position(|byte| stops.contains(byte)));
            found.map_or(query.len(), |found| from + found)
        };
        let mut values = Vec::new();
        let mut name = 0;
        while name < query.len() {
            let mut end = find(name, b"=&;");
            if query.get(end) == Some(&b'=') && query.get(name..end).is_some_and(|name| self.is_secret(name)) {
                let value = end + 1;
                end = find(value, b"&&&");
                values.push(value..end);
            }
            name = end + 1;
        }
        values
    }

    /// Whether a parameter or a header of this name holds a secret.
    pub fn is_secret(&self, name: &[u8]) -> bool {
        let mut odd =
            name.iter().filter(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'-')).peekable();
        if odd.peek().is_none() {
            return self.is_listed(name) || is_common(name);
        }
        let name: Cow<'_, [u8]> = if odd.any(|byte| matches!(byte, b'%' | b'+')) {
            // A plus sign is a blank there, and a blank around a name is no part of it.
            percent_decode(name).map(|byte| if byte == b'+' { b' ' } else { byte }).collect()
        } else {
            name.into()
        };
        let name = name.trim_ascii();
        if self.is_listed(name) {
            return true;
        }
        // `token[]`, `token[0]` and `user[password]` are ways to write lists and maps.
        match name.iter().position(|byte| *byte == b'[') {
            None => is_common(name),
            Some(bracket) => {
                let (before, inside) = name.split_at_checked(bracket).unwrap_or((name, &[]));
                is_common(before) || inside.split(|byte| matches!(byte, b'[' | b']')).any(is_common)
            }
        }
    }

    fn is_listed(&self, name: &[u8]) -> bool {
        self.more.iter().any(|more| more.eq_ignore_ascii_case(name))
    }
}

/// Compares only with names that end alike, because this is asked for every parameter of every request.
fn is_common(name: &[u8]) -> bool {
    let (ends, whole): (&[&str], &[&str]) = match name.last().map(u8::to_ascii_lowercase) {
        Some(b'd') => (&["password", "passwd", "pwd"], &["sid", "sessionid"]),
        Some(b'e') => (&["passphrase", "passcode", "signature"], &["code"]),
        Some(b'g') => (&[], &["sig"]),
        Some(b'h') => (&[], &["auth"]),
        Some(b'l') => (&["credential"], &[]),
        Some(b'n') => (&["token", "assertion"], &["pin", "session", "authorization"]),
        Some(b'p') => (&["otp"], &[]),
        Some(b'r') => (&[], &["code_verifier"]),
        Some(b's') => (&["keys", "tokens", "secrets", "credentials"], &["pass"]),
        Some(b't') => (&["secret", "jwt"], &[]),
        Some(b'y') => (&["key"], &[]),
        _ => return false,
    };
    let ends_with = |end: &str| {
        let tail = name.len().checked_sub(end.len()).and_then(|at| name.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end.as_bytes()))
    };
    ends.iter().any(|end| ends_with(end)) || whole.iter().any(|whole| name.eq_ignore_ascii_case(whole.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(query: &str) -> String {
        let mut masked = String::new();
        Secrets::and(["colour"]).mask(query, |piece| masked.push_str(piece));
        masked
    }

    #[test]
    fn values_of_secrets_are_hidden_and_all_else_is_kept() {
        for (query, expected) in [
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            ("a=1&token=s3&b=2", "a=1&token=***&b=2"),
            ("key=s3", "key=***"),
            ("API_KEY=s3&x-api-key=s3", "API_KEY=***&x-api-key=***"),
            ("client_secret=s3&apiKey=s3", "client_secret=***&apiKey=***"),
            ("X-Amz-Signature=s3&X-Amz-Credential=s3", "X-Amz-Signature=***&X-Amz-Credential=***"),
            ("to%6Ben=s3", "to%6Ben=***"),
            ("+token+=s3", "+token+=***"),
            ("token[]=s3&user[password]=s3", "token[]=***&user[password]=***"),
            ("token%5B0%5D=s3", "token%5B0%5D=***"),
            ("token=s3;more=s3", "token=***"),
            ("a=1;token=s3", "a=1;token=***"),
            ("password=s3=s3", "password=***"),
            ("token", "token"),
            ("token=", "token=***"),
            ("next=/login?token=s3&b=2", "next=/login?token=***&b=2"),
            ("a=b=token=s3", "a=b=token=***"),
            ("&&token=s3&&", "&&token=***&&"),
            ("Colour=s3&keyword=x", "Colour=***&keyword=x"),
            ("sig=s3&bigsig=1&pin=s3&JWT=s3", "sig=***&bigsig=1&pin=***&JWT=***"),
            ("code=s3&zipcode=1", "code=***&zipcode=1"),
        ] {
            assert_eq!(masked(query), expected);
        }
    }

    proptest! {
        #[test]
        fn no_query_lets_the_value_of_a_token_out(before in "[a-z=&;%]{0,20}", after in "[a-z=&;%]{0,20}") {
            let masked = masked(&format!("{before}&token=S3CRET&{after}"));
            prop_assert!(!masked.contains("S3CRET"), "{}", masked);
        }

        #[test]
        fn a_query_without_secrets_is_not_changed(query in "[a-d=&;%+0-9\\[\\]]{0,40}") {
            prop_assert_eq!(masked(&query), query);
        }
    }
}
