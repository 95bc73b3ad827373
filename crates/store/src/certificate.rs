//! Certificates of clients, and what authorities of the gateway signed.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use authority::Reason;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{AppId, BadName, Entity, EntityId, Kind, UnixMicros, hex};

/// Which certificate: SHA-256 over it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateId(pub [u8; 32]);

impl JsonSchema for CertificateId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CertificateFingerprint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CertificateId {
    type Err = BadName;

    /// Reads 64 hexadecimal digits, also with colons between pairs as other programs write them.
    fn from_str(text: &str) -> Result<Self, BadName> {
        let digits: Vec<u32> =
            text.chars().filter(|letter| *letter != ':').map_while(|digit| digit.to_digit(16)).collect();
        let written = text.chars().filter(|letter| *letter != ':').count();
        let bytes = digits.chunks(2).filter_map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        });
        let bytes: Vec<u8> = bytes.collect();
        let id = (written == 64).then(|| bytes.try_into().ok()).flatten();
        id.map(Self).ok_or(BadName::Fingerprint)
    }
}

impl TryFrom<String> for CertificateId {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<CertificateId> for String {
    fn from(id: CertificateId) -> Self {
        id.to_string()
    }
}

/// A certificate by which an app is known on TLS connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its fingerprint.
    pub id: CertificateId,
    /// The app that it identifies.
    pub app: AppId,
    /// The authority of this gateway that signed it; none, if somebody else did.
    pub authority: Option<String>,
    /// Its subject.
    pub subject: String,
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// Its further names.
    pub names: Vec<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// From when on it is valid.
    pub not_before: UnixMicros,
    /// When it stops being valid by itself.
    pub expires: UnixMicros,
    /// When it was signed here, or made known.
    pub created: UnixMicros,
    /// When and why it was revoked, if it was.
    pub revoked: Option<Revocation>,
    /// When it was last used, within a minute or so.
    #[serde(skip)]
    pub last_used: Option<UnixMicros>,
    /// The certificate, in PEM.
    pub pem: String,
}

/// That a certificate opens nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Since when.
    pub at: UnixMicros,
    /// Why.
    pub reason: Reason,
}

/// Which rule: the name in certificates that it is about, such as `dns:acme.example` or `subject:O=acme,CN=shop`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CertificateName(pub String);

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for CertificateName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for CertificateName {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// That an app is known by a name in its certificates, whichever certificate it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRule {
    /// The name.
    pub name: CertificateName,
    /// The app that it identifies.
    pub app: AppId,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Whose certificates alone it is about, if not those of everybody who is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerKey>,
    /// When it was made.
    pub created: UnixMicros,
}

/// Who signs certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerKey {
    /// What it is called, for people.
    pub subject: String,
    /// The key that its signatures are verified with (`SubjectPublicKeyInfo`), in base64.
    pub key: String,
}

/// Which signature of an authority: its name and the serial number of what it signed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IssuanceId {
    /// The authority's name.
    pub authority: String,
    /// The certificate's serial number, in hexadecimal digits.
    pub serial: String,
}

impl fmt::Display for IssuanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.authority, self.serial)
    }
}

/// That an authority of the gateway signed a certificate. It stays until the certificate is over, whatever is deleted:
/// the list of revoked certificates has to name those that nobody knows any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuance {
    /// Which one.
    #[serde(flatten)]
    pub id: IssuanceId,
    /// What was signed.
    pub certificate: CertificateId,
    /// When it was signed.
    pub created: UnixMicros,
    /// When it is over.
    pub expires: UnixMicros,
}

impl From<&CertificateId> for EntityId {
    fn from(id: &CertificateId) -> Self {
        Self::new(Kind::Certificate, id.to_string())
    }
}

impl From<CertificateId> for EntityId {
    fn from(id: CertificateId) -> Self {
        Self::from(&id)
    }
}

impl From<&IssuanceId> for EntityId {
    fn from(id: &IssuanceId) -> Self {
        Self::new(Kind::Issuance, id.to_string())
    }
}

impl From<IssuanceId> for EntityId {
    fn from(id: IssuanceId) -> Self {
        Self::from(&id)
    }
}

impl Entity for Certificate {
    type Id = CertificateId;

    const KIND: Kind = Kind::Certificate;

    fn entity_id(&self) -> EntityId {
        (&self.id).into()
    }

    fn parent(&self) -> Option<EntityId> {
        Some((&self.app).into())
    }

    fn label(&self) -> Option<String> {
        self.authority.clone()
    }
}

impl From<&CertificateName> for EntityId {
    fn from(name: &CertificateName) -> Self {
        Self::new(Kind::CertificateRule, name.to_string())
    }
}

impl From<CertificateName> for EntityId {
    fn from(name: CertificateName) -> Self {
        Self::from(&name)
    }
}

impl Entity for CertificateRule {
    type Id = CertificateName;

    const KIND: Kind = Kind::CertificateRule;

    fn entity_id(&self) -> EntityId {
        (&self.name).into()
    }

    fn parent(&self) -> Option<EntityId> {
        Some((&self.app).into())
    }
}

impl Entity for Issuance {
    type Id = IssuanceId;

    const KIND: Kind = Kind::Issuance;

    fn entity_id(&self) -> EntityId {
        (&self.id).into()
    }

    fn label(&self) -> Option<String> {
        Some(self.id.authority.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_other_programs_write_it() {
        let id = CertificateId([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        let with_colons = vec!["AB"; 32].join(":");
        assert_eq!(with_colons.parse(), Ok(id));
        let short = "ab".repeat(31);
        let other = format!("{}g", "a".repeat(63));
        for wrong in ["", &short, &other, "abc"] {
            assert_eq!(wrong.parse::<CertificateId>(), Err(BadName::Fingerprint), "{wrong}");
        }
    }
}
