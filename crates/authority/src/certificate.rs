//! What a certificate says, as far as a gateway cares.

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 over the certificate.
    pub fingerprint: [u8; 32],
    /// The subject, such as `O=acme,CN=shop`: see [`Self::known_by`].
    pub subject: String,
    /// The serial number, in hexadecimal digits.
    pub serial: String,
    /// From when on it is valid, in seconds since 1970.
    pub not_before: u64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: u64,
    /// Its further names: `dns:`, `email:` or `uri:`, and the name.
    pub names: Vec<String>,
}

/// Why a certificate cannot identify a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is no PEM of a certificate.
    #[error("is no certificate in PEM: it begins with `-----BEGIN CERTIFICATE-----`")]
    Pem,
    /// It cannot be read.
    #[error("cannot be read as a certificate (X.509): {0}")]
    Unreadable(String),
    /// It is not for clients.
    #[error("is not for clients: its extended key usage lacks `clientAuth`")]
    NotForClients,
    /// It is an authority's.
    #[error("is the certificate of an authority, not of a client")]
    Authority,
    /// It is not an authority's.
    #[error("is not the certificate of an authority: it lacks `CA:TRUE`")]
    NoAuthority,
}

impl Certificate {
    /// Reads the first certificate of a PEM, which must be a client's.
    pub fn of_client(pem: &str) -> Result<Self, Unfit> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_unreadable| Unfit::Pem)?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| Unfit::Unreadable(error.to_string()))?;
        if parsed.is_ca() {
            return Err(Unfit::Authority);
        }
        let usage = parsed.extended_key_usage().map_err(|error| Unfit::Unreadable(error.to_string()))?;
        if usage.is_some_and(|usage| !usage.value.client_auth && !usage.value.any) {
            return Err(Unfit::NotForClients);
        }
        Ok(Self::said(&der, &parsed))
    }

    /// Reads any certificate.
    pub fn of(der: &[u8]) -> Result<Self, Unfit> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| Unfit::Unreadable(error.to_string()))?;
        Ok(Self::said(der, &parsed))
    }

    /// All by which the certificate may be known beside its fingerprint: its further names, and its subject behind
    /// `subject:`.
    pub fn known_by(self) -> Vec<String> {
        let mut names = self.names;
        names.push(format!("subject:{}", self.subject));
        names
    }

    fn said(der: &[u8], parsed: &X509Certificate<'_>) -> Self {
        let seconds = |timestamp: i64| u64::try_from(timestamp).unwrap_or_default();
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.iter().filter_map(name).collect());
        Self {
            fingerprint: fingerprint(der),
            subject: subject(parsed.subject()),
            serial: hex(parsed.raw_serial()),
            not_before: seconds(parsed.validity().not_before.timestamp()),
            not_after: seconds(parsed.validity().not_after.timestamp()),
            names: names.unwrap_or_default(),
        }
    }
}

/// Who signs, by the first certificate of a PEM: its subject, and the key that its signatures are verified with.
pub fn issuer_key(pem: &str) -> Result<(String, Vec<u8>), Unfit> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_unreadable| Unfit::Pem)?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| Unfit::Unreadable(error.to_string()))?;
    if !parsed.is_ca() {
        return Err(Unfit::NoAuthority);
    }
    Ok((subject(parsed.subject()), parsed.public_key().raw.to_vec()))
}

/// Whether a certificate was signed with the private half of this key. It takes as long as verifying a signature.
pub fn is_signed_by(der: &[u8], key: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let Ok((_, key)) = SubjectPublicKeyInfo::from_der(key) else { return false };
    certificate.verify_signature(Some(&key)).is_ok()
}

/// SHA-256 over a certificate.
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, der).as_ref());
    sha256
}

/// A subject in one way of writing it, in the order of the certificate. What has a meaning there is escaped as in RFC
/// 4514, so that no subject looks like another one.
pub(crate) fn subject(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    for part in name.iter_rdn() {
        for (number, attribute) in part.iter().enumerate() {
            if !text.is_empty() {
                text.push(if number == 0 { ',' } else { '+' });
            }
            let oid = attribute.attr_type();
            match oid2abbrev(oid, oid_registry()) {
                Ok(known) => text.push_str(known),
                Err(_unknown) => text.push_str(&oid.to_string()),
            }
            text.push('=');
            match attribute.as_str() {
                Ok(value) => value.chars().for_each(|letter| escaped(&mut text, letter)),
                Err(_other) => text.extend(["#", &hex(attribute.as_slice())]),
            }
        }
    }
    text
}

fn escaped(text: &mut String, letter: char) {
    if matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' | '#') {
        text.push('\\');
    }
    text.push(letter);
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("dns:{}", name.to_ascii_lowercase())),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::URI(name) => Some(format!("uri:{name}")),
        _ => None,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::DnType::{CommonName, OrganizationName};
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};

    use super::*;

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::new(vec!["A.example".to_owned()]).unwrap();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn a_clients_certificate_says_who_it_is_and_how_long() {
        let pem = certificate(|params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        });
        let read = Certificate::of_client(&pem).unwrap();
        assert_eq!((read.not_after, read.names.as_slice()), (1_893_456_000, ["dns:a.example".to_owned()].as_slice()));
        assert!(read.subject.contains("CN="));
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(Certificate::of(&der).unwrap(), read);
    }

    #[test]
    fn no_subject_looks_like_another_one() {
        let subject = |parts: &[(rcgen::DnType, &str)]| {
            let pem = certificate(|params| {
                params.distinguished_name = rcgen::DistinguishedName::new();
                for (part, value) in parts {
                    params.distinguished_name.push(part.clone(), *value);
                }
            });
            Certificate::of_client(&pem).unwrap().known_by().pop().unwrap()
        };
        assert_eq!(subject(&[(CommonName, "b"), (OrganizationName, "acme")]), "subject:CN=b,O=acme");
        assert_eq!(subject(&[(CommonName, "b,O=acme")]), "subject:CN=b\\,O\\=acme");
    }

    #[test]
    fn what_no_client_can_show_is_refused() {
        let of_server = certificate(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
        assert_eq!(Certificate::of_client(&of_server), Err(Unfit::NotForClients));
        let authority = certificate(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        assert_eq!(Certificate::of_client(&authority), Err(Unfit::Authority));
        assert_eq!(Certificate::of_client("x"), Err(Unfit::Pem));
        let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert!(matches!(Certificate::of_client(empty), Err(Unfit::Unreadable(_))));
    }
}
