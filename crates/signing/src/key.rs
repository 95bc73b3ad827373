//! One key pair that signs.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
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

impl SigningKey {
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

    /// Its name: the thumbprint of its public half (RFC 7638).
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

fn thumbprint(pair: &Pair) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, members(pair).to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
