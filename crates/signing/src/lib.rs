//! Keys that sign JSON Web Tokens: how they are made, when the next one takes over, and what verifiers are told.
//!
//! Signing is a few lines over `aws-lc-rs`; most of what libraries for tokens do is verifying those of others, and only what
//! the same keys signed is verified here. Deliberately not here: where keys are kept, and what tokens say.

mod key;
mod ring;

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::ring::{Ring, Schedule};

/// How tokens are signed (RFC 7518, section 3; RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSA of 2048 bits, PKCS #1 v1.5, SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256, SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// As it stands in the header of a token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Why nothing was signed, or no key made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no key that signs now.
    #[error("there is no key to sign with")]
    NoKey,
    /// What was kept are no keys.
    #[error("the signing keys that were kept cannot be read")]
    Damaged,
    /// What is to be imported is no key pair that can be used, for this reason.
    #[error("this is no private RSA key as a JWK: {0}")]
    NoKeyPair(String),
    /// The cipher failed, which it does without randomness only.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// Signs with whichever key it is the time of. Keys are exchanged beside traffic.
pub struct Signer {
    ring: ArcSwap<Ring>,
}

impl Signer {
    /// Signs nothing before it has keys.
    pub fn new(ring: Ring) -> Self {
        Self { ring: ArcSwap::from_pointee(ring) }
    }

    /// Signs with these keys from now on.
    pub fn replace(&self, ring: Ring) {
        self.ring.store(Arc::new(ring));
    }

    /// A token of a type with these claims, which are a JSON object, in the compact form (RFC 7515, section 7.1), at a time in seconds since 1970.
    pub fn sign(&self, typ: &str, claims: &str, now: u64) -> Result<String, Error> {
        let ring = self.ring.load();
        let key = ring.current(now).ok_or(Error::NoKey)?;
        let header = json!({ "alg": key.algorithm().name(), "typ": typ, "kid": key.id() });
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// What a token in the compact form says, if one of these keys signed it: its claims, whatever they are by now.
    pub fn verified(&self, token: &str) -> Option<Vec<u8>> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        let (algorithm, id) = (header.get("alg")?.as_str()?, header.get("kid").and_then(Value::as_str));
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let ring = self.ring.load();
        // By the algorithm of the key, and no other that the token may name (RFC 8725, section 3.1).
        let is_signed = ring
            .named(id)
            .any(|key| key.algorithm().name() == algorithm && key.has_signed(message.as_bytes(), &signature));
        if is_signed { URL_SAFE_NO_PAD.decode(claims).ok() } else { None }
    }

    /// The public half of the key that signs now, as a JWK.
    pub fn public_key(&self, now: u64) -> Option<Value> {
        Some(self.ring.load().current(now)?.public())
    }

    /// How tokens are signed now, unless there is no key.
    pub fn algorithm(&self, now: u64) -> Option<Algorithm> {
        Some(self.ring.load().current(now)?.algorithm())
    }

    /// The public keys that verifiers may need, as members of a JWK set (RFC 7517).
    pub fn public_keys(&self) -> Vec<Value> {
        self.ring.load().public_keys()
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};

    use super::*;

    const SCHEDULE: Schedule = Schedule { rotate: 1000, overlap: 100 };

    /// The claims of a token, as another implementation reads them with the published keys.
    fn verified(token: &str, keys: &[Value]) -> Option<Value> {
        let header = decode_header(token).unwrap();
        let keys: JwkSet = serde_json::from_value(json!({ "keys": keys })).unwrap();
        let key = DecodingKey::from_jwk(keys.find(&header.kid?)?).unwrap();
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        decode::<Value>(token, &key, &validation).ok().map(|token| token.claims)
    }

    #[test]
    fn another_implementation_verifies_what_is_signed_with_the_published_keys() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let (ring, kept) = Ring::tended(None, algorithm, SCHEDULE, 5).unwrap();
            let claims = json!({ "sub": "acme", "n": 1 });

            let token = Signer::new(ring).sign("at+jwt", &claims.to_string(), 5).unwrap();

            let (again, unchanged) = Ring::tended(kept.as_deref(), algorithm, SCHEDULE, 6).unwrap();
            assert_eq!(unchanged, None);
            assert_eq!(verified(&token, &again.public_keys()), Some(claims));
            assert_eq!(decode_header(&token).unwrap().typ.as_deref(), Some("at+jwt"));
            let forged = token.replacen('.', ".e30", 1);
            assert_eq!(verified(&forged, &again.public_keys()), None);
        }
    }

    #[test]
    fn every_token_can_be_verified_while_keys_are_rotated_for_years() {
        let mut kept = None;
        let mut kids = std::collections::BTreeSet::new();
        let mut before: Option<(String, Vec<Value>)> = None;
        for now in (0..5000).step_by(50) {
            let (ring, changed) = Ring::tended(kept.as_deref(), Algorithm::Es256, SCHEDULE, now).unwrap();
            kept = changed.or(kept);
            let signer = Signer::new(ring);
            let token = signer.sign("JWT", "{}", now).unwrap();
            kids.insert(decode_header(&token).unwrap().kid);

            let keys = signer.public_keys();
            assert!((1..=3).contains(&keys.len()), "{now}: {keys:?}");
            if let Some((old_token, old_keys)) = before {
                assert!(verified(&old_token, &keys).is_some(), "a token of before is known at {now}");
                assert!(verified(&token, &old_keys).is_some(), "who fetched keys before {now} knows the one in use");
            }
            before = Some((token, keys));
        }
        assert!((4..=6).contains(&kids.len()), "{}", kids.len());
    }

    #[test]
    fn another_algorithm_is_announced_before_it_is_used() {
        let (_, kept) = Ring::tended(None, Algorithm::Es256, SCHEDULE, 0).unwrap();
        let (ring, kept) = Ring::tended(kept.as_deref(), Algorithm::EdDsa, SCHEDULE, 10).unwrap();
        assert!(kept.is_some());
        let signer = Signer::new(ring);
        assert_eq!(signer.public_keys().len(), 2);
        assert_eq!(signer.algorithm(109), Some(Algorithm::Es256));
        assert_eq!(signer.algorithm(110), Some(Algorithm::EdDsa));
    }

    #[test]
    fn what_was_signed_is_verified_and_nothing_else() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let signer = |()| Signer::new(Ring::tended(None, algorithm, SCHEDULE, 5).unwrap().0);
            let [signer, other] = [(), ()].map(signer);
            let token = signer.sign("JWT", "{\"sub\":\"a\"}", 5).unwrap();

            assert_eq!(signer.verified(&token).unwrap(), b"{\"sub\":\"a\"}");
            assert_eq!(other.verified(&token), None);
            let (head, signature) = token.rsplit_once('.').unwrap();
            let none = URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}");
            let claims = head.split_once('.').unwrap().1;
            for wrong in ["", "..", "a.b", head, &format!("{head}."), &format!("{none}.{claims}.{signature}")] {
                assert_eq!(signer.verified(wrong), None, "{wrong}");
            }
        }
    }

    /// A key pair as somebody else writes it: what `RSA_generate_key` made, taken apart.
    fn private_jwk() -> Value {
        let (_, kept) = Ring::tended(None, Algorithm::Rs256, SCHEDULE, 0).unwrap();
        let kept: Value = serde_json::from_slice(&kept.unwrap()).unwrap();
        let pkcs8 =
            base64::engine::general_purpose::STANDARD.decode(kept["keys"][0]["pkcs8"].as_str().unwrap()).unwrap();
        let numbers = key::tests::integers(&pkcs8);
        let mut jwk = json!({ "kty": "RSA", "alg": "RS256", "kid": "0123456789abcdef0123456789abcdef" });
        for (name, number) in ["n", "e", "d", "p", "q", "dp", "dq", "qi"].iter().zip(numbers) {
            jwk[*name] = URL_SAFE_NO_PAD.encode(number).into();
        }
        jwk
    }

    #[test]
    fn a_key_of_somebody_else_signs_from_now_on_under_its_own_name() {
        let jwk = private_jwk();
        let (ring, kept) = Ring::tended(None, Algorithm::Rs256, SCHEDULE, 0).unwrap();
        let old = Signer::new(ring).sign("JWT", "{}", 0).unwrap();

        let (ring, kept) = Ring::with_imported(kept.as_deref(), &jwk, 50).unwrap();
        let signer = Signer::new(ring);

        let token = signer.sign("JWT", "{}", 50).unwrap();
        assert_eq!(decode_header(&token).unwrap().kid.as_deref(), jwk["kid"].as_str());
        assert_eq!(verified(&token, &signer.public_keys()), Some(json!({})));
        assert!(signer.verified(&old).is_some(), "what was signed before is still verified");
        let public = signer.public_key(50).unwrap();
        assert_eq!((&public["kid"], &public["n"]), (&jwk["kid"], &jwk["n"]));
        let (again, _) = Ring::with_imported(Some(&kept), &jwk, 60).unwrap();
        assert_eq!(again.public_keys().len(), 2, "the same key is there once");
    }

    #[test]
    fn a_key_is_exchanged_by_command_and_what_the_old_one_signed_stays_verified() {
        let (ring, kept) = Ring::tended(None, Algorithm::Rs256, SCHEDULE, 0).unwrap();
        let old = Signer::new(ring);
        let old_token = old.sign("JWT", "{}", 0).unwrap();

        let (ring, kept) = Ring::rotated(kept.as_deref(), Algorithm::Rs256, 50, 150).unwrap();
        let (new_id, from) = ring.last().map(|(id, from)| (id.to_owned(), from)).unwrap();
        let signer = Signer::new(ring);
        let kid = |now| decode_header(signer.sign("JWT", "{}", now).unwrap()).unwrap().kid.unwrap();
        assert_eq!(from, 150);
        assert_eq!(signer.public_keys().len(), 2, "it is announced");
        assert_eq!(kid(149), decode_header(&old_token).unwrap().kid.unwrap());
        assert_eq!(kid(150), new_id);
        assert!(signer.verified(&old_token).is_some());

        // Another one at once: the one that was announced is not, and whoever signed until now is still verified.
        let (ring, kept) = Ring::rotated(Some(&kept), Algorithm::Rs256, 60, 60).unwrap();
        assert!(ring.public_keys().iter().all(|key| key["kid"] != *new_id));
        assert!(Signer::new(ring).verified(&old_token).is_some());
        let (later, _) =
            Ring::tended(Some(&kept), Algorithm::Rs256, Schedule { rotate: u64::MAX, overlap: 100 }, 160).unwrap();
        assert!(Signer::new(later).verified(&old_token).is_none(), "after the overlap the old key is gone");
        let (first, _) = Ring::rotated(None, Algorithm::Es256, 0, 10).unwrap();
        assert!(Signer::new(first).sign("JWT", "{}", 0).is_ok(), "somebody signs until then");
    }

    #[test]
    fn what_is_no_private_rsa_key_is_not_taken() {
        let whole = private_jwk();
        let mut cases = vec![json!({}), json!("text"), json!({ "kty": "EC" })];
        for member in ["n", "d", "qi"] {
            let (mut missing, mut wrong) = (whole.clone(), whole.clone());
            missing.as_object_mut().unwrap().shift_remove(member);
            wrong[member] = "AQAB".into();
            cases.extend([missing, wrong]);
        }
        for jwk in cases {
            assert!(matches!(Ring::with_imported(None, &jwk, 0).err(), Some(Error::NoKeyPair(_))), "{jwk}");
        }
    }

    #[test]
    fn nothing_is_signed_without_a_key() {
        let signer = Signer::new(Ring::default());
        assert!(matches!(signer.sign("JWT", "{}", 0), Err(Error::NoKey)));
        assert!(matches!(Ring::tended(Some(b"x"), Algorithm::Es256, SCHEDULE, 0).err(), Some(Error::Damaged)));
    }
}
