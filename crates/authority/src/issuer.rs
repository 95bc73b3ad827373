//! An authority: its own certificate and key, and what it signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::Request;
use crate::certificate::subject;

/// How far certificates reach back, in seconds: clocks of others may be slow.
const BACK: u64 = 300;

/// An authority that signs.
pub struct Authority {
    /// Its certificate, and those up to the root if it is an intermediate one, in PEM.
    chain: String,
    subject: String,
    not_after: u64,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and a key as they are kept.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    /// The certificate, in PEM.
    pub certificate: String,
    /// The key, in PEM.
    pub key: String,
    /// Earlier certificates of the same key that are valid still, the newest first, in PEM. Those who have one of them believe
    /// what the key signs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
}

/// What is written into a client's certificate, beside its key.
pub struct Leaf<'a> {
    /// The company.
    pub organization: &'a str,
    /// The app.
    pub unit: &'a str,
    /// What it is called; the request's own name is for the caller to choose.
    pub common_name: &'a str,
    /// Random bytes that name the certificate.
    pub serial: [u8; 16],
    /// Now, in seconds since 1970.
    pub now: u64,
    /// Until when it is valid, in seconds since 1970. Never longer than its authority.
    pub until: u64,
    /// Where the list of revoked certificates is, if anywhere.
    pub revocations_at: Option<&'a str>,
}

/// A certificate on a list of revoked ones.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// When it was revoked, in seconds since 1970.
    pub at: u64,
    /// Why.
    pub reason: Reason,
}

/// Why a certificate was revoked (RFC 5280, section 5.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RevocationReason")]
pub enum Reason {
    /// Nobody said.
    #[default]
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// Whoever had it belongs elsewhere now.
    AffiliationChanged,
    /// Another one is in use.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// It was taken away.
    PrivilegeWithdrawn,
}

/// Why an authority cannot be, or does not sign.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its certificate cannot be read.
    #[error("its certificate cannot be read: {0}")]
    Certificate(String),
    /// Its key cannot be read.
    #[error("its key cannot be read: {0}")]
    Key(String),
    /// They are not of one pair.
    #[error("its key is not the one that its certificate is for")]
    Pair,
    /// Its certificate is not an authority's.
    #[error(
        "its certificate is not that of an authority: it lacks `CA:TRUE`, or key usages `keyCertSign` and `cRLSign`"
    )]
    NoAuthority,
    /// It is over.
    #[error("its certificate is not valid any more")]
    Over,
    /// Signing failed.
    #[error("signing failed: {0}")]
    Signing(#[from] rcgen::Error),
}

impl Authority {
    /// Makes a root, valid from now until then, in seconds since 1970.
    pub fn make(common_name: &str, serial: [u8; 16], now: u64, until: u64) -> Result<Kept, Error> {
        let key = KeyPair::generate()?;
        let certificate = root(common_name, &key, serial, now, until)?;
        Ok(Kept { certificate, key: key.serialize_pem(), before: Vec::new() })
    }

    /// Makes another certificate for the key and the name of a root. What the key signed is believed by those who have the new
    /// one and by those who have an old one, for as long as that is valid.
    pub fn renew(kept: &Kept, serial: [u8; 16], now: u64, until: u64) -> Result<Kept, Error> {
        let key = KeyPair::from_pem(&kept.key).map_err(|error| Error::Key(error.to_string()))?;
        let certificate = root(&common_name(&kept.certificate)?, &key, serial, now, until)?;
        let mut before = Vec::new();
        for pem in std::iter::once(&kept.certificate).chain(&kept.before) {
            if now < Self::read(pem, &kept.key)?.not_after {
                before.push(pem.clone());
            }
        }
        Ok(Kept { certificate, key: kept.key.clone(), before })
    }

    /// Reads an authority: its certificate, with those up to the root behind it, and its key.
    pub fn read(chain: &str, key: &str) -> Result<Self, Error> {
        let der = CertificateDer::from_pem_slice(chain.as_bytes());
        let der = der.map_err(|error| Error::Certificate(error.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| Error::Certificate(error.to_string()))?;
        let usage = parsed.key_usage().map_err(|error| Error::Certificate(error.to_string()))?;
        if !parsed.is_ca() || usage.is_some_and(|usage| !usage.value.key_cert_sign() || !usage.value.crl_sign()) {
            return Err(Error::NoAuthority);
        }
        let key = KeyPair::from_pem(key).map_err(|error| Error::Key(error.to_string()))?;
        if parsed.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(Error::Pair);
        }
        Ok(Self {
            chain: chain.to_owned(),
            subject: subject(parsed.subject()),
            not_after: u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default(),
            issuer: Issuer::from_ca_cert_der(&der, key)?,
        })
    }

    /// Its certificate and those above it, in PEM.
    pub fn chain(&self) -> &str {
        &self.chain
    }

    /// Its own subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Until when it can sign, in seconds since 1970.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// Signs a client's certificate, in PEM. Nothing but the key comes from the request.
    pub fn sign(&self, request: &Request, leaf: &Leaf<'_>) -> Result<String, Error> {
        if self.not_after <= leaf.now {
            return Err(Error::Over);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, leaf.organization);
        params.distinguished_name.push(DnType::OrganizationalUnitName, leaf.unit);
        params.distinguished_name.push(DnType::CommonName, leaf.common_name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(number(leaf.serial));
        params.not_before = moment(leaf.now.saturating_sub(BACK));
        params.not_after = moment(leaf.until.min(self.not_after));
        params.use_authority_key_identifier_extension = true;
        params.crl_distribution_points =
            leaf.revocations_at.map(|at| CrlDistributionPoint { uris: vec![at.to_owned()] }).into_iter().collect();
        Ok(params.signed_by(&request.key, &self.issuer)?.pem())
    }

    /// A list of revoked certificates (RFC 5280, section 5), in DER. Each list has a higher number than those before.
    pub fn list(&self, revoked: &[Revoked], number: u64, now: u64, next: u64) -> Result<Vec<u8>, Error> {
        let revoked = revoked.iter().map(|revoked| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&unhex(&revoked.serial)),
            revocation_time: moment(revoked.at),
            reason_code: revoked.reason.code(),
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: moment(now),
            next_update: moment(next),
            crl_number: SerialNumber::from_slice(&number.to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.der().to_vec())
    }
}

/// The certificate of a root, in PEM.
fn root(common_name: &str, key: &KeyPair, serial: [u8; 16], now: u64, until: u64) -> Result<String, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    // It signs clients' certificates and no further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(number(serial));
    params.not_before = moment(now.saturating_sub(BACK));
    params.not_after = moment(until);
    Ok(params.self_signed(key)?.pem())
}

/// The common name in a root's certificate.
fn common_name(pem: &str) -> Result<String, Error> {
    let unreadable = |error: &dyn std::fmt::Display| Error::Certificate(error.to_string());
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| unreadable(&error))?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| unreadable(&error))?;
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    Ok(name.ok_or_else(|| unreadable(&"it has no common name"))?.to_owned())
}

/// A list of revoked certificates in PEM.
pub fn list_as_pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines = encoded.as_bytes().chunks(64).flat_map(|line| line.iter().copied().chain(*b"\n")).map(char::from);
    format!("-----BEGIN X509 CRL-----\n{}-----END X509 CRL-----\n", lines.collect::<String>())
}

impl Reason {
    fn code(self) -> Option<RevocationReason> {
        match self {
            // The absence of a reason says it (RFC 5280, section 5.3.1).
            Self::Unspecified => None,
            Self::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Self::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
            Self::Superseded => Some(RevocationReason::Superseded),
            Self::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
            Self::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
        }
    }
}

/// A serial number: positive, and at most 20 bytes (RFC 5280, section 4.1.2.2).
fn number(random: [u8; 16]) -> SerialNumber {
    let mut bytes = random;
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    SerialNumber::from_slice(&bytes)
}

fn moment(seconds: u64) -> OffsetDateTime {
    // Certificates of RFC 5280 know no later time than the end of 9999.
    const LAST: i64 = 253_402_300_799;
    let seconds = i64::try_from(seconds).unwrap_or(LAST).min(LAST);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2).filter_map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of logs.
        f.debug_struct("Kept").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::revocation_list::CertificateRevocationList;

    use super::*;
    use crate::Certificate;
    use crate::certificate::hex;

    const NOW: u64 = 1_767_225_600;
    const YEAR: u64 = 365 * 86_400;

    fn authority() -> Authority {
        let kept = Authority::make("partners", [9; 16], NOW, NOW + 10 * YEAR).unwrap();
        Authority::read(&kept.certificate, &kept.key).unwrap()
    }

    fn request() -> Request {
        let key = KeyPair::generate().unwrap();
        Request::read(&CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()).unwrap()
    }

    fn leaf(until: u64) -> Leaf<'static> {
        Leaf {
            organization: "acme",
            unit: "shop",
            common_name: "till 7",
            serial: [0xff; 16],
            now: NOW,
            until,
            revocations_at: Some("http://crl.example/partners.crl"),
        }
    }

    #[test]
    fn a_certificate_says_what_the_authority_knows_and_is_signed_by_it() {
        let authority = authority();

        let pem = authority.sign(&request(), &leaf(NOW + YEAR)).unwrap();

        let read = Certificate::of_client(&pem).unwrap();
        assert_eq!(read.subject, "O=acme,OU=shop,CN=till 7");
        assert_eq!((read.not_before, read.not_after), (NOW - 300, NOW + YEAR));
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let issuer = CertificateDer::from_pem_slice(authority.chain().as_bytes()).unwrap();
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let (_, issuer) = X509Certificate::from_der(&issuer).unwrap();
        parsed.verify_signature(Some(issuer.public_key())).unwrap();
    }

    #[test]
    fn nothing_outlives_its_authority() {
        let authority = authority();
        let pem = authority.sign(&request(), &leaf(NOW + 20 * YEAR)).unwrap();
        assert_eq!(Certificate::of_client(&pem).unwrap().not_after, NOW + 10 * YEAR);
        let late = Leaf { now: NOW + 10 * YEAR, ..leaf(NOW + 11 * YEAR) };
        assert!(matches!(authority.sign(&request(), &late), Err(Error::Over)));
    }

    #[test]
    fn a_list_names_what_was_revoked_and_is_signed() {
        let authority = authority();
        let pem = authority.sign(&request(), &leaf(NOW + YEAR)).unwrap();
        let serial = Certificate::of_client(&pem).unwrap().serial;
        let revoked = Revoked { serial: serial.clone(), at: NOW + 5, reason: Reason::KeyCompromise };

        let list = authority.list(&[revoked], 300, NOW + 10, NOW + 1000).unwrap();

        let (_, list) = CertificateRevocationList::from_der(&list).unwrap();
        let issuer = CertificateDer::from_pem_slice(authority.chain().as_bytes()).unwrap();
        let (_, issuer) = X509Certificate::from_der(&issuer).unwrap();
        list.verify_signature(issuer.public_key()).unwrap();
        let serials: Vec<_> = list.iter_revoked_certificates().map(|revoked| hex(revoked.raw_serial())).collect();
        assert_eq!(serials, [serial]);
        assert_eq!(list.next_update().unwrap().timestamp(), i64::try_from(NOW).unwrap() + 1000);
        assert_eq!(list.crl_number().unwrap().to_string(), "300");
        let der = authority.list(&[], 301, NOW, NOW + 10).unwrap();
        let read =
            rustls_pki_types::CertificateRevocationListDer::from_pem_slice(list_as_pem(&der).as_bytes()).unwrap();
        assert_eq!(read.as_ref(), der);
    }

    #[test]
    fn a_pair_that_does_not_fit_is_no_authority() {
        let (one, other) = (authority_kept(), authority_kept());
        assert!(matches!(Authority::read(&one.certificate, &other.key), Err(Error::Pair)));
        assert!(matches!(Authority::read("x", &other.key), Err(Error::Certificate(_))));
        assert!(matches!(Authority::read(&one.certificate, "x"), Err(Error::Key(_))));
        let key = KeyPair::generate().unwrap();
        let client = CertificateParams::default().self_signed(&key).unwrap().pem();
        assert!(matches!(Authority::read(&client, &key.serialize_pem()), Err(Error::NoAuthority)));
    }

    fn authority_kept() -> Kept {
        Authority::make("partners", [9; 16], NOW, NOW + YEAR).unwrap()
    }
}
