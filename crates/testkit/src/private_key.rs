//! A private RSA key, as other programs keep theirs.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A new private RSA key of 2048 bits as a JWK of this name (RFC 7518, section 6.3.2).
pub fn private_jwk(kid: &str) -> Value {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("there is randomness");
    let pkcs8 = pair.as_der().expect("it can be written");
    // PKCS #8: a version, an algorithm, and the key (RFC 5958, section 2); in it a version, and the numbers.
    let (version, rest) = element(element(pkcs8.as_ref()).0);
    let (key, _) = element(element(rest).1);
    assert_eq!(version, [0]);
    let mut numbers = element(element(key).0).1;
    let mut jwk = json!({ "kty": "RSA", "alg": "RS256", "kid": kid });
    for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        let (number, rest) = element(numbers);
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        jwk[name] = URL_SAFE_NO_PAD.encode(&number[zeros..]).into();
        numbers = rest;
    }
    jwk
}

/// The content of the first element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = (usize::from(der[1]), &der[2..]);
    if length < 0x80 {
        return rest.split_at(length);
    }
    let (digits, rest) = rest.split_at(length & 0x7f);
    rest.split_at(digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)))
}
