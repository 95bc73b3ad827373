//! Requests signed by AWS Signature Version 4, as clients of its API gateway sign them: read, and verified.
//!
//! Signatures are in the header `authorization`, cover the body, and hold for [`WINDOW`] seconds around when they were made.
//! Crates that verify come with their own HTTP stack or with older versions of the scheme; what is needed is this file and one.
//! Deliberately not here: who has which key, the clock, and signatures in addresses or over a body in pieces.

mod canonical;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// By how many seconds the clock of a client may be wrong, and for how long a request that somebody caught could be sent again.
pub const WINDOW: u64 = 300;

/// Why a request is not as somebody signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no signature, or it is not written as one.
    #[error("Authorization header is not a signature of AWS Signature Version 4")]
    Malformed,
    /// What has to be signed is not.
    #[error("Authorization header does not sign host and every x-amz- header of the request")]
    Uncovered,
    /// It is for another service.
    #[error("Credential should be scoped to correct service: 'execute-api'")]
    OtherService,
    /// It was made too long ago, or in the future.
    #[error("Signature expired or not yet current: the time in x-amz-date is more than five minutes from now")]
    OtherTime,
    /// It is another one than the secret makes.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
         and signing method."
    )]
    Different,
}

/// The request that is signed, but for its body.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, as it was sent.
    pub path: &'a str,
    /// Its query, as it was sent.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// What a request says about its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Whose secret made it.
    pub key_id: String,
    /// When, as it was written.
    date: String,
    /// Day, region, service and the word that ends a scope.
    scope: String,
    /// Names of headers that are covered, as they were written.
    headers: String,
    mac: [u8; 32],
}

/// Whether a header claims to be a signature of this kind.
pub fn is_claimed(authorization: &[u8]) -> bool {
    authorization.starts_with(ALGORITHM.as_bytes())
}

impl Signature {
    /// Reads it, at a time in seconds since 1970. The key it names may be nobody's.
    pub fn of(request: Request<'_>, now: u64) -> Result<Self, Refused> {
        let mut fields = request.headers.get_all(AUTHORIZATION).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else { return Err(Refused::Malformed) };
        let signature = field.to_str().ok().and_then(|field| Self::read(field, request.headers));
        let signature = signature.ok_or(Refused::Malformed)?;
        let mut scope = signature.scope.split('/');
        let (day, _region, service) = (scope.next(), scope.next(), scope.next());
        if service != Some(SERVICE) {
            return Err(Refused::OtherService);
        }
        let signed_at = seconds(&signature.date).ok_or(Refused::Malformed)?;
        if signed_at.abs_diff(now) > WINDOW || day != signature.date.get(..8) {
            return Err(Refused::OtherTime);
        }
        signature.expect_covered(request.headers)?;
        Ok(signature)
    }

    /// Whether this secret made it for this request with this body.
    pub fn verify(&self, secret: &str, request: Request<'_>, body: &[u8]) -> Result<(), Refused> {
        let hash = canonical::hex(digest(&SHA256, body).as_ref());
        // What a client says of the body is signed as it says it; it has to be true.
        let said = request.headers.get(CONTENT_HASH).map(http::HeaderValue::as_bytes);
        if said.is_some_and(|said| said != hash.as_bytes()) {
            return Err(Refused::Different);
        }
        let canonical = canonical::request(request, &self.headers, &hash).ok_or(Refused::Malformed)?;
        let hashed = canonical::hex(digest(&SHA256, canonical.as_bytes()).as_ref());
        let text = format!("{ALGORITHM}\n{}\n{}\n{hashed}", self.date, self.scope);
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in self.scope.split('/') {
            key = mac(&key, part);
        }
        verify_slices_are_equal(&mac(&key, &text), &self.mac).map_err(|_unequal| Refused::Different)
    }

    fn read(field: &str, headers: &HeaderMap) -> Option<Self> {
        let parts = field.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let (mut credential, mut names, mut signature) = (None, None, None);
        for part in parts.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut names,
                "Signature" => &mut signature,
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        let (key_id, scope) = credential?.split_once('/')?;
        let is_scope = scope.split('/').count() == 4 && scope.ends_with("/aws4_request");
        let date = headers.get(DATE)?.to_str().ok()?;
        is_scope.then_some(Self {
            key_id: key_id.to_owned(),
            date: date.to_owned(),
            scope: scope.to_owned(),
            headers: names?.to_owned(),
            mac: canonical::unhex(signature?)?,
        })
    }

    /// Sees to it that nobody can change what matters without the signature.
    fn expect_covered(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let is_covered = |name: &str| self.headers.split(';').any(|covered| covered == name);
        let of_amazon = headers.keys().filter(|name| name.as_str().starts_with("x-amz-"));
        let all = of_amazon.map(http::HeaderName::as_str).chain(["host"]).all(is_covered);
        if all { Ok(()) } else { Err(Refused::Uncovered) }
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// A moment such as `20260830T123600Z`, in seconds since 1970.
fn seconds(date: &str) -> Option<u64> {
    let moment = DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    moment.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second().try_into().ok()
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "execute-api";
const DATE: &str = "x-amz-date";
const CONTENT_HASH: &str = "x-amz-content-sha256";

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HeaderName;
    use proptest::prelude::*;

    use super::*;

    const KEY_ID: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    /// 2015-08-30T12:36:00Z.
    const NOW: u64 = 1_440_938_160;

    /// A request, as the signing half of the scheme makes it.
    struct Signed {
        method: Method,
        path: &'static str,
        query: &'static str,
        headers: HeaderMap,
        body: &'static [u8],
    }

    impl Signed {
        fn request(&self) -> Request<'_> {
            Request { method: &self.method, path: self.path, query: self.query, headers: &self.headers }
        }

        fn is_verified(&self, now: u64, secret: &str) -> Result<String, Refused> {
            let signature = Signature::of(self.request(), now)?;
            signature.verify(secret, self.request(), self.body)?;
            Ok(signature.key_id)
        }

        fn set(&mut self, name: &'static str, value: &str) {
            self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
    }

    /// What botocore 1.43.11 signed: `POST http://127.0.0.1:8080/operate/increment_serving_counter?b=2&a=x%20y`.
    fn signed() -> Signed {
        let mut signed = Signed {
            method: Method::POST,
            path: "/operate/increment_serving_counter",
            query: "b=2&a=x%20y",
            headers: HeaderMap::new(),
            body: b"{\"event_id\":\"Sample\",\"increment_by\":10}",
        };
        signed.set("host", "127.0.0.1:8080");
        signed.set("x-amz-date", "20150830T123600Z");
        signed.set("content-type", "application/json");
        signed.set("authorization", BOTOCORE);
        signed
    }

    const BOTOCORE: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/execute-api/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date, \
        Signature=437339bf6afda366eca7f9cc2ce74a9a99d9349e85b3ce6e51d2372dfb224909";

    #[test]
    fn what_another_implementation_signed_is_verified() {
        assert_eq!(signed().is_verified(NOW, SECRET).as_deref(), Ok(KEY_ID));
        assert!(
            signed().is_verified(NOW + WINDOW, SECRET).is_ok() && signed().is_verified(NOW - WINDOW, SECRET).is_ok()
        );
    }

    #[test]
    fn whatever_is_changed_is_refused() {
        let refused = |change: &dyn Fn(&mut Signed)| {
            let mut signed = signed();
            change(&mut signed);
            signed.is_verified(NOW, SECRET).unwrap_err()
        };
        assert_eq!(signed().is_verified(NOW, "another").unwrap_err(), Refused::Different);
        assert_eq!(signed().is_verified(NOW + WINDOW + 1, SECRET).unwrap_err(), Refused::OtherTime);
        assert_eq!(signed().is_verified(NOW - WINDOW - 1, SECRET).unwrap_err(), Refused::OtherTime);
        assert_eq!(
            refused(&|signed| signed.body = b"{\"event_id\":\"Sample\",\"increment_by\":99}"),
            Refused::Different
        );
        assert_eq!(refused(&|signed| signed.method = Method::PUT), Refused::Different);
        assert_eq!(refused(&|signed| signed.path = "/operate/reset_initial_state"), Refused::Different);
        assert_eq!(refused(&|signed| signed.query = "b=3&a=x%20y"), Refused::Different);
        assert_eq!(refused(&|signed| signed.set("host", "127.0.0.1:8081")), Refused::Different);
        assert_eq!(refused(&|signed| signed.set("x-amz-date", "20150830T123601Z")), Refused::Different);
        assert_eq!(refused(&|signed| signed.set("x-amz-meta", "1")), Refused::Uncovered);
        let hash = "UNSIGNED-PAYLOAD";
        assert_eq!(refused(&|signed| signed.set("x-amz-content-sha256", hash)), Refused::Uncovered);
        let with = |from: &str, to: &str| BOTOCORE.replace(from, to);
        for (authorization, expected) in [
            (with("SignedHeaders=content-type;host;", "SignedHeaders=content-type;"), Refused::Uncovered),
            (with("execute-api", "s3"), Refused::OtherService),
            (with("/20150830/", "/20150829/"), Refused::OtherTime),
            (with("/us-east-1/", "/eu-west-1/"), Refused::Different),
            (with("aws4_request", "aws4"), Refused::Malformed),
            (with("Signature=", "Signature=0"), Refused::Malformed),
            (with("Signature=", "Signature=a,Signature="), Refused::Malformed),
            ("AWS4-HMAC-SHA256".to_owned(), Refused::Malformed),
            ("Bearer va_x".to_owned(), Refused::Malformed),
        ] {
            let refused = refused(&|signed| signed.set("authorization", &authorization));
            assert_eq!(refused, expected, "{authorization}");
        }
        assert_eq!(refused(&|signed| drop(signed.headers.remove("x-amz-date"))), Refused::Malformed);
        let twice = HeaderValue::from_static(BOTOCORE);
        assert_eq!(refused(&|signed| assert!(signed.headers.append(AUTHORIZATION, twice.clone()))), Refused::Malformed);
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_harm(field in "(AWS4-HMAC-SHA256 )?[ -~]{0,200}", date in "[0-9TZ]{0,20}") {
            let mut signed = signed();
            signed.set("x-amz-date", &date);
            signed.set("authorization", &field);
            prop_assert!(signed.is_verified(NOW, SECRET).is_err());
        }
    }
}
