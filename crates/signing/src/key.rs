//! One key pair that signs.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::{Algorithm, Error};

/// One key pair that signs.
pub(crate) struct SigningKey {
    pair: Pair,
    id: String,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A new key pair, in PKCS #8.
pub(crate) fn generate(algorithm: Algorithm) -> Result<Vec<u8>, Error> {
    let random = SystemRandom::new();
    match algorithm {
        Algorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_unspecified| Error::NoRandomness)?;
            Ok(pair.as_der().map_err(|_unspecified| Error::NoRandomness)?.as_ref().to_vec())
        }
        Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map(|made| made.as_ref().to_vec())
            .map_err(|_unspecified| Error::NoRandomness),
        Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random)
            .map(|made| made.as_ref().to_vec())
            .map_err(|_unspecified| Error::NoRandomness),
    }
}

/// A key pair that somebody else made, as a private JWK (RFC 7518, section 6.3.2), in PKCS #8.
pub(crate) fn from_jwk(jwk: &Value) -> Result<Vec<u8>, Error> {
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    if member("kty") != Some("RSA") || jwk.get("oth").is_some() {
        return Err(Error::NoKeyPair("its `kty` is not `RSA`, or it has more than two primes".to_owned()));
    }
    let mut integers = vec![vec![0]];
    for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        let bytes = member(name).and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
        integers.push(bytes.ok_or_else(|| Error::NoKeyPair(format!("`{name}` is missing, or is no base64url")))?);
    }
    // RFC 8017, appendix A.1.2.
    let content: Vec<u8> = integers.iter().flat_map(|integer| encoded(0x02, &positive(integer))).collect();
    let unfit = |_rejected| Error::NoKeyPair("its numbers are no RSA key of 2048 to 8192 bits".to_owned());
    let pair = RsaKeyPair::from_der(&encoded(0x30, &content)).map_err(unfit)?;
    Ok(pair.as_der().map_err(|_unspecified| Error::NoRandomness)?.as_ref().to_vec())
}

impl SigningKey {
    /// As [`Self::read`], known by another name.
    pub(crate) fn read_as(id: Option<&str>, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, Error> {
        let key = Self::read(algorithm, pkcs8)?;
        Ok(match id {
            Some(id) => Self { id: id.to_owned(), ..key },
            None => key,
        })
    }

    /// Reads a key pair from PKCS #8.
    pub(crate) fn read(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, Error> {
        let damaged = |_rejected| Error::Damaged;
        let pair = match algorithm {
            Algorithm::Rs256 => Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(pkcs8).map_err(damaged)?)),
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(damaged)?;
                Pair::P256(Box::new(pair))
            }
            Algorithm::EdDsa => Pair::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(damaged)?)),
        };
        let id = thumbprint(&pair);
        Ok(Self { pair, id })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Rsa(_) => Algorithm::Rs256,
            Pair::P256(_) => Algorithm::Es256,
            Pair::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Its name: the thumbprint of its public half (RFC 7638), unless it came with another one.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map(|()| signature).map_err(|_unspecified| Error::NoRandomness)
            }
            Pair::P256(pair) => {
                let signed = pair.sign(&random, message);
                signed.map(|signature| signature.as_ref().to_vec()).map_err(|_unspecified| Error::NoRandomness)
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// Whether it signed a message so.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.pair {
            Pair::Rsa(pair) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key()).verify(message, signature)
            }
            Pair::P256(pair) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key()).verify(message, signature)
            }
            Pair::Ed25519(pair) => UnparsedPublicKey::new(&ED25519, pair.public_key()).verify(message, signature),
        };
        verified.is_ok()
    }

    /// Its public half as a JWK.
    pub(crate) fn public(&self) -> Value {
        let mut public = members(&self.pair);
        if let Some(members) = public.as_object_mut() {
            members.insert("kid".to_owned(), self.id.as_str().into());
            members.insert("alg".to_owned(), self.algorithm().name().into());
            members.insert("use".to_owned(), "sig".into());
        }
        public
    }
}

/// The members that make a public key, in the order of their names, as its thumbprint needs them.
fn members(pair: &Pair) -> Value {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match pair {
        Pair::Rsa(pair) => {
            let (modulus, exponent) = rsa_integers(pair.public_key().as_ref()).unwrap_or_default();
            json!({ "e": encode(exponent), "kty": "RSA", "n": encode(modulus) })
        }
        Pair::P256(pair) => {
            // An uncompressed point: a byte that says so, and two coordinates (SEC 1, section 2.3.3).
            let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
            let (x, y) = point.split_at_checked(32).unwrap_or_default();
            json!({ "crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y) })
        }
        Pair::Ed25519(pair) => json!({ "crv": "Ed25519", "kty": "OKP", "x": encode(pair.public_key().as_ref()) }),
    }
}

/// Modulus and exponent of an RSA key in DER (RFC 8017, appendix A.1.1), without leading zeros.
fn rsa_integers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    let plain = |integer: &'_ [u8]| integer.iter().take_while(|byte| **byte == 0).count();
    Some((modulus.get(plain(modulus)..)?, exponent.get(plain(exponent)..)?))
}

/// The content of the first element, which must have this tag, and what follows.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(*length & 0x7F))?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    if *first == tag { rest.split_at_checked(length) } else { None }
}

/// An integer that is not negative, as DER has it.
fn positive(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    // The first bit is the sign, and no integer is empty.
    let sign = if digits.first().is_none_or(|first| *first >= 0x80) { &[0][..] } else { &[] };
    [sign, digits].concat()
}

/// An element of this tag.
fn encoded(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = length.get(content.len().leading_zeros() as usize / 8..).unwrap_or_default();
    let mut element = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => element.push(short),
        _ => {
            element.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
            element.extend_from_slice(digits);
        }
    }
    element.extend_from_slice(content);
    element
}

fn thumbprint(pair: &Pair) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, members(pair).to_string().as_bytes()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The numbers of an RSA key in PKCS #8, from the modulus on.
    pub(crate) fn integers(pkcs8: &[u8]) -> Vec<Vec<u8>> {
        let (mut rest, _) = element(pkcs8, 0x30).unwrap();
        for tag in [0x02, 0x30] {
            rest = element(rest, tag).unwrap().1;
        }
        let (mut rest, _) = element(element(rest, 0x04).unwrap().0, 0x30).unwrap();
        let mut integers = Vec::new();
        while let Some((integer, more)) = element(rest, 0x02) {
            integers.push(integer.iter().copied().skip_while(|byte| *byte == 0).collect());
            rest = more;
        }
        integers.split_off(1)
    }

    #[test]
    fn the_name_of_a_key_is_its_thumbprint_and_stays() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let kept = generate(algorithm).unwrap();
            let (one, same) =
                (SigningKey::read(algorithm, &kept).unwrap(), SigningKey::read(algorithm, &kept).unwrap());
            assert_eq!((one.id(), one.algorithm()), (same.id(), algorithm));
            let public: jsonwebtoken::jwk::Jwk = serde_json::from_value(one.public()).unwrap();
            assert_eq!(public.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap(), one.id());
            assert!(SigningKey::read(algorithm, b"none").is_err());
        }
    }
}
