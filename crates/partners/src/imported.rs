//! Keys that were made elsewhere: in a form of their own, and hashed as their maker did.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use problem::{Finding, Pointer};
use store::KeyHash;

use crate::key::is_ours;
use crate::pepper::{DIGEST, Mark, Pepper};

/// The tag of hashes that are plain SHA-256.
pub(crate) const SHA_256: &str = "sha-256";

/// What the tags of hashes begin with that are HMAC-SHA-256 with a pepper of the configuration, whose name follows.
pub(crate) const HMAC: &str = "hmac-sha-256:";

/// Characters of a key that was made elsewhere.
pub(crate) const LENGTHS: std::ops::RangeInclusive<usize> = 16..=512;

/// Peppers that other programs hashed their keys with, by name.
#[derive(Default)]
pub(crate) struct Peppers(Vec<(Box<str>, hmac::Key)>);

/// What is known of a key that was made elsewhere: the key itself, or its hash.
#[derive(Clone)]
pub enum Known {
    /// The whole key. Its hash is kept, and nothing else.
    Text(String),
    /// Its hash, and the tag of the algorithm: `sha-256`, or `hmac-sha-256:` and a name of `imported_keys.peppers`.
    Hash {
        /// The tag.
        algorithm: String,
        /// The hash, in hexadecimal digits or base64.
        digest: String,
    },
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known(..)")
    }
}

/// Whether a tag is one of hashes that were made elsewhere.
pub(crate) fn is_imported(algorithm: &str) -> bool {
    algorithm == SHA_256 || algorithm.starts_with(HMAC)
}

impl Peppers {
    pub(crate) fn new<'a>(peppers: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let key = |text: &String| hmac::Key::new(hmac::HMAC_SHA256, &bytes(text).unwrap_or_default());
        Self(peppers.into_iter().map(|(name, text)| (format!("{HMAC}{name}").into(), key(text))).collect())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(tag, _)| &**tag)
    }

    /// The marks by which the index may have a key: each is asked for by `found`, until it has one.
    pub(crate) fn find<T>(&self, pepper: &Pepper, text: &[u8], found: impl Fn(&Mark) -> Option<T>) -> Option<T> {
        let hashed = |(tag, key): &(Box<str>, hmac::Key)| {
            let hash = hmac::sign(key, text);
            let hash = hash.as_ref().first_chunk()?;
            found(&pepper.mark_of_hash(tag, hash))
        };
        self.0.iter().find_map(hashed)
    }
}

/// The mark by which the index has a key whose SHA-256 is kept.
pub(crate) fn by_sha_256(pepper: &Pepper, text: &[u8]) -> Mark {
    let hash = digest(&SHA256, text);
    pepper.mark_of_hash(SHA_256, hash.as_ref().first_chunk().unwrap_or(&[0; DIGEST]))
}

/// A pepper as it is written: a text, or `base64:` and bytes.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    match text.strip_prefix("base64:") {
        Some(encoded) => STANDARD.decode(encoded).ok().filter(|bytes| !bytes.is_empty()),
        None => Some(text.as_bytes().to_vec()).filter(|bytes| !bytes.is_empty()),
    }
}

impl Known {
    /// The hash to keep, or what is wrong.
    pub(crate) fn hash(&self, pepper: &Pepper, peppers: &Arc<Peppers>, at: &Pointer) -> Result<KeyHash, Finding> {
        match self {
            Self::Text(text) => match wrong_text(text) {
                Some(reason) => Err(Finding::new(&at.at("text"), reason)),
                None => Ok(pepper.hash(text.as_bytes())),
            },
            Self::Hash { algorithm, digest } => {
                if algorithm != SHA_256 && !peppers.names().any(|tag| tag == algorithm) {
                    let known = peppers.names().chain([SHA_256]).collect::<Vec<_>>().join("`, `");
                    let reason =
                        format!("is no algorithm known here; there are `{known}`: `imported_keys.peppers` has more");
                    return Err(Finding::new(&at.at("algorithm"), reason));
                }
                let Some(digest) = decoded(digest) else {
                    let reason = "is no hash of 32 bytes, in hexadecimal digits or base64";
                    return Err(Finding::new(&at.at("digest"), reason));
                };
                Ok(KeyHash { algorithm: algorithm.clone(), digest })
            }
        }
    }

    /// What else the same key may be kept as: where its text is known, each of the hashes that somebody may import.
    pub(crate) fn others(&self, peppers: &Peppers) -> Vec<KeyHash> {
        let Self::Text(text) = self else { return Vec::new() };
        let kept =
            |algorithm: &str, digest: &[u8]| KeyHash { algorithm: algorithm.to_owned(), digest: digest.to_vec() };
        let peppered = peppers.0.iter().map(|(tag, key)| kept(tag, hmac::sign(key, text.as_bytes()).as_ref()));
        peppered.chain([kept(SHA_256, digest(&SHA256, text.as_bytes()).as_ref())]).collect()
    }

    /// What people recognise the key by: its first and its last four characters, where enough is left to be secret.
    pub(crate) fn shown(&self) -> (String, String) {
        let text = match self {
            Self::Text(text) => text.as_str(),
            Self::Hash { .. } => "",
        };
        let long = 24 <= text.len();
        let part = |range: Option<&str>| range.filter(|_| long).unwrap_or_default().to_owned();
        (part(text.get(..4)), part(text.get(text.len().saturating_sub(4)..)))
    }
}

fn wrong_text(text: &str) -> Option<String> {
    if is_ours(text) {
        return Some("has the form of keys of this gateway, which it makes itself".to_owned());
    }
    let (least, most) = (LENGTHS.start(), LENGTHS.end());
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    (!is_plain || !LENGTHS.contains(&text.len()))
        .then(|| format!("is no key: {least} to {most} visible ASCII characters without blanks"))
}

fn decoded(digest: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let bytes = match digest.len() {
        64 => {
            (0..DIGEST).map(|at| u8::from_str_radix(digest.get(2 * at..2 * at + 2)?, 16).ok()).collect::<Option<_>>()?
        }
        _ => STANDARD.decode(digest).ok()?,
    };
    Some(bytes).filter(|bytes: &Vec<u8>| bytes.len() == DIGEST)
}
