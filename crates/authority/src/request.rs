//! Requests for certificates (PKCS #10): what is looked at before anything is signed.

use rcgen::{CertificateSigningRequestParams, DnType, DnValue, IsCa, SubjectPublicKeyInfo};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::error::X509Error;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as Parsed;

/// The longest request that is looked at.
const LONGEST: usize = 16 * 1024;

/// Bits of an RSA key.
const SHORTEST_RSA: usize = 2048;
const LONGEST_RSA: usize = 8192;

/// Characters of a common name (RFC 5280, appendix A.1).
const LONGEST_NAME: usize = 64;

/// A request that can be signed.
pub struct Request {
    pub(crate) key: SubjectPublicKeyInfo,
    /// The common name that it asks for, if it asks for one.
    pub common_name: Option<String>,
}

/// Why a request is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is longer than any request.
    #[error("is longer than {LONGEST} bytes")]
    Long,
    /// It is no PEM of a request.
    #[error("is no certificate request in PEM: it begins with `-----BEGIN CERTIFICATE REQUEST-----`")]
    Pem,
    /// It cannot be read.
    #[error("cannot be read as a certificate request (PKCS #10): {0}")]
    Unreadable(String),
    /// Whoever made it does not have the key.
    #[error("is not signed by its own key, so its sender may not have that key")]
    Signature,
    /// Its key or its signature is of a kind that is not signed.
    #[error(
        "has a key or a signature of a kind that is not accepted: RSA of {SHORTEST_RSA} to {LONGEST_RSA} bits, P-256, P-384 or Ed25519, with SHA-256 or longer"
    )]
    Kind,
    /// Its RSA key is too short or too long.
    #[error("has an RSA key of {0} bits; {SHORTEST_RSA} to {LONGEST_RSA} are accepted")]
    Bits(usize),
    /// Its subject is not one.
    #[error("has a common name that is none: 1 to {LONGEST_NAME} characters, none of them a control character")]
    Name,
    /// It asks for what a client has no need of.
    #[error("asks for {0}, which a client's certificate does not have; leave it out")]
    Asks(&'static str),
}

impl Request {
    /// Reads a request and checks it: its signature, the kind and the size of its key, its subject, and that it asks for
    /// nothing that a client's certificate does not have.
    pub fn read(pem: &str) -> Result<Self, Refused> {
        if LONGEST < pem.len() {
            return Err(Refused::Long);
        }
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|_unreadable| Refused::Pem)?;
        let (rest, parsed) =
            X509CertificationRequest::from_der(&der).map_err(|error| Refused::Unreadable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(Refused::Unreadable("something follows it".to_owned()));
        }
        match parsed.certification_request_info.subject_pki.parsed() {
            Ok(Parsed::RSA(key)) if (SHORTEST_RSA..=LONGEST_RSA).contains(&key.key_size()) => {}
            Ok(Parsed::RSA(key)) => return Err(Refused::Bits(key.key_size())),
            Ok(Parsed::EC(_) | Parsed::Unknown(_)) => {}
            _ => return Err(Refused::Kind),
        }
        // Below, what cannot be verified would count as signed by another key.
        parsed.verify_signature().map_err(|error| match error {
            X509Error::SignatureUnsupportedAlgorithm => Refused::Kind,
            _ => Refused::Signature,
        })?;
        // A key is of its own kind, whatever it signs with: `openssl req` signs with SHA-256 for P-384, too.
        let key = SubjectPublicKeyInfo::from_der(parsed.certification_request_info.subject_pki.raw)
            .map_err(|_unknown| Refused::Kind)?;
        let read = CertificateSigningRequestParams::from_der(&der).map_err(|error| match error {
            rcgen::Error::InvalidCertificationRequestSignature => Refused::Signature,
            rcgen::Error::UnsupportedSignatureAlgorithm => Refused::Kind,
            rcgen::Error::UnsupportedExtension => Refused::Asks("an extension that is not known here"),
            other => Refused::Unreadable(other.to_string()),
        })?;
        let params = &read.params;
        if matches!(params.is_ca, IsCa::Ca(_)) {
            return Err(Refused::Asks("being an authority"));
        }
        if !params.subject_alt_names.is_empty() {
            return Err(Refused::Asks("further names (`subjectAltName`)"));
        }
        let common_name = match params.distinguished_name.get(&DnType::CommonName) {
            Some(value) => Some(name(value)?),
            None => None,
        };
        Ok(Self { key, common_name })
    }
}

fn name(value: &DnValue) -> Result<String, Refused> {
    let text = match value {
        DnValue::Utf8String(text) => text.clone(),
        DnValue::PrintableString(text) => text.as_str().to_owned(),
        DnValue::Ia5String(text) => text.as_str().to_owned(),
        _ => return Err(Refused::Name),
    };
    let is_name = (1..=LONGEST_NAME).contains(&text.chars().count())
        && !text.trim().is_empty()
        && !text.contains(char::is_control);
    if is_name { Ok(text) } else { Err(Refused::Name) }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, RsaKeySize};

    use super::*;

    fn request(change: impl FnOnce(&mut CertificateParams), key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    fn refusal(pem: &str) -> String {
        Request::read(pem).err().unwrap().to_string()
    }

    #[test]
    fn keys_of_all_accepted_kinds_are_read() {
        let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let kinds = [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519].map(|kind| KeyPair::generate_for(kind).unwrap());
        for key in kinds.iter().chain([&KeyPair::generate().unwrap(), &rsa]) {
            let pem = request(|params| params.distinguished_name.push(DnType::CommonName, "till 7"), key);
            assert_eq!(Request::read(&pem).unwrap().common_name.as_deref(), Some("till 7"));
        }
        assert_eq!(Request::read(&request(|_| (), &rsa)).unwrap().common_name, None);
    }

    #[test]
    fn what_a_client_has_no_need_of_is_refused_and_the_reason_said() {
        let key = KeyPair::generate().unwrap();
        let authority = request(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), &key);
        assert!(refusal(&authority).contains("being an authority"));
        let named = request(
            |params| params.subject_alt_names.push(rcgen::SanType::DnsName("a.example".try_into().unwrap())),
            &key,
        );
        assert!(refusal(&named).contains("subjectAltName"));
        let long = request(|params| params.distinguished_name.push(DnType::CommonName, "x".repeat(65)), &key);
        assert!(refusal(&long).contains("common name"));
        let control = request(|params| params.distinguished_name.push(DnType::CommonName, "a\u{1}b"), &key);
        assert!(refusal(&control).contains("common name"));
    }

    #[test]
    fn what_is_no_request_of_its_own_key_is_refused() {
        let key = KeyPair::generate().unwrap();
        let pem = request(|params| params.distinguished_name.push(DnType::CommonName, "till"), &key);
        let mut der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
        let at = der.windows(4).position(|bytes| bytes == b"till").unwrap();
        der[at] = b'b';
        let body = base64(&der);
        let forged = format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
        assert_eq!(Request::read(&forged).err(), Some(Refused::Signature));

        assert_eq!(Request::read("nonsense").err(), Some(Refused::Pem));
        assert_eq!(Request::read(&key.serialize_pem()).err(), Some(Refused::Pem));
        assert_eq!(Request::read(&"x".repeat(20_000)).err(), Some(Refused::Long));
        let empty = "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n";
        assert!(matches!(Request::read(empty).err(), Some(Refused::Unreadable(_))));
    }

    #[test]
    fn keys_on_other_curves_are_refused_for_what_they_are() {
        for pem in [P521, SECP256K1] {
            assert_eq!(Request::read(pem).err(), Some(Refused::Kind));
        }
    }

    #[test]
    fn a_key_stays_of_its_kind_whatever_its_request_is_signed_with() {
        let request = Request::read(P384_SIGNED_WITH_SHA_256).unwrap();
        assert_eq!(rcgen::PublicKeyData::algorithm(&request.key), &PKCS_ECDSA_P384_SHA384);
    }

    fn base64(bytes: &[u8]) -> String {
        use std::fmt::Write;
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for three in bytes.chunks(3) {
            let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
            for place in 0..4 {
                let letter =
                    if place <= three.len() { LETTERS[(bits >> (18 - 6 * place) & 63) as usize] } else { b'=' };
                write!(text, "{}", char::from(letter)).unwrap();
            }
        }
        text
    }

    // `openssl ecparam -name CURVE -genkey -noout -out key && openssl req -new -key key -subj "/CN=till 7"`
    const P521: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIIBUzCBtgIBADARMQ8wDQYDVQQDDAZ0aWxsIDcwgZswEAYHKoZIzj0CAQYFK4EE
ACMDgYYABACTml3WmoLLox0g5IPEyxz1osUnVoBQc2FdgBuojyfPKPO733H/j2TC
tKxBHcMcQMBNuocwn/bRH/3e6DkMKs7omQD5Dig3b5brNB9EXESRu+bo16TO/IgV
vMidgThC5YOkwg8L0Q3c77DXO6Q5vLHO62VmThChPaEdP5CJRiRpuWd4MaAAMAoG
CCqGSM49BAMCA4GLADCBhwJBCV9Arvwmw+sNFBGKu3lyM6of7HllI04pzOYm1t4F
btPoGVR81lG4cQ78tTm9hWjvuJBjNGEQGLSFmxBzlTaY4mUCQgFP+cPP40d5nGhs
ey/4gbvCS+bbG6L7ylLbpoGSNC8pp/U5Yo0cIWQH+xLCPTi1HEBfghrPY4KkXwl9
gwT3Dc5Vqg==
-----END CERTIFICATE REQUEST-----
";
    const P384_SIGNED_WITH_SHA_256: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIIBCTCBkAIBADARMQ8wDQYDVQQDDAZ0aWxsIDcwdjAQBgcqhkjOPQIBBgUrgQQA
IgNiAASvEYi9RqUQDk0tEdc612oAKnmUgPERLI/IP123gvqumsTbgSeGWTy5RigS
hh2YJHUvKa/IHo/CwuXA73Y0r7y3VO3B5PunHOB/PC+jWqnuBNt0XMDwXxGuHvHt
u36iBmqgADAKBggqhkjOPQQDAgNoADBlAjEAmZuPiJ4xZkdibGhrVbwkOd9etxmp
m8aX8FrWHNneJBlu0egr5Ojeg6gE2ZMAfY9GAjBe6EO7yk4S5lUOtgbSibkx0ncQ
2boRutxApTOO1BmsMyrpw3ghP0ZITFRF53qg12I=
-----END CERTIFICATE REQUEST-----
";
    const SECP256K1: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIHIMHACAQAwETEPMA0GA1UEAwwGdGlsbCA3MFYwEAYHKoZIzj0CAQYFK4EEAAoD
QgAESNeanjBCTcvaFmYygWSpKY7RuZ+hMEZUIFbCZgYmcjzMaRlS/G4+Q8nx0q0O
iLjZtTG1aKeMJjnm+AQySnPy4aAAMAoGCCqGSM49BAMCA0gAMEUCIQDq+gT6dnnw
HPZVMY8ibh99SEIDmdtl6qk8l1xcYkqZvgIgbro6ZCQpQoyg88qfpJAG0vKSRbLG
ziHYBG9xgldVMmc=
-----END CERTIFICATE REQUEST-----
";
}
