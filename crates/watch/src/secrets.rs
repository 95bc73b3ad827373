//! Which query parameters hold secrets by their names, and queries without these secrets.

use std::borrow::Cow;

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
        // What follows the last secret that was left out; most queries have none and go out in one piece.
        let (mut begin, mut at) = (0, 0);
        for part in query.split('&') {
            let end = at + part.len();
            if let Some(name) = self.secret_in(part) {
                put(query.get(begin..at + name).unwrap_or_default());
                put("=***");
                begin = end;
            }
            at = end + 1;
        }
        put(query.get(begin..).unwrap_or_default());
    }

    /// Where in this part of a query the value of a secret begins, at its `=`.
    ///
    /// Some servers part parameters at semicolons, others take these for a piece of the value: so the first
    /// secret in a part hides the whole rest of it.
    fn secret_in(&self, part: &str) -> Option<usize> {
        let mut at = 0;
        for pair in part.split(';') {
            if let Some((name, _)) = pair.split_once('=')
                && self.is_secret(name.as_bytes())
            {
                return Some(at + name.len());
            }
            at += pair.len() + 1;
        }
        None
    }

    fn is_secret(&self, name: &[u8]) -> bool {
        let name: Cow<'_, [u8]> = if name.iter().any(|byte| matches!(byte, b'%' | b'+')) {
            // A plus sign is a blank there, and a blank around a name is no part of it.
            percent_decode(name).map(|byte| if byte == b'+' { b' ' } else { byte }).collect()
        } else {
            name.into()
        };
        let name = name.trim_ascii();
        if self.more.iter().any(|more| more.eq_ignore_ascii_case(name)) {
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
}

fn is_common(name: &[u8]) -> bool {
    WHOLE.iter().any(|whole| name.eq_ignore_ascii_case(whole))
        || ENDS.iter().any(|end| {
            name.len()
                .checked_sub(end.len())
                .and_then(|at| name.get(at..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
        })
}

/// Names that are a secret's only if nothing stands before them. `code` is that of OAuth.
const WHOLE: [&[u8]; 9] =
    [b"auth", b"authorization", b"code", b"sig", b"pin", b"session", b"sid", b"sessionid", b"code_verifier"];
const ENDS: [&[u8]; 16] = [
    b"key",
    b"keys",
    b"token",
    b"tokens",
    b"secret",
    b"password",
    b"passwd",
    b"passphrase",
    b"passcode",
    b"pwd",
    b"signature",
    b"credential",
    b"credentials",
    b"assertion",
    b"jwt",
    b"otp",
];

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
            ("&&token=s3&&", "&&token=***&&"),
            ("Colour=s3&keyword=x", "Colour=***&keyword=x"),
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
