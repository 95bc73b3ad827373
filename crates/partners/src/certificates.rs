//! The use cases with certificates: made known, signed by an authority of the gateway, revoked, deleted.

use authority::{Authority, Leaf, Request, Revoked};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use problem::Pointer;
use schemars::JsonSchema;
use serde::Deserialize;
use store::{
    AppId, Certificate, CertificateId, CertificateName, CertificateRule, EntityId, Issuance, IssuanceId, IssuerKey,
    Kind, Listing, Reason, Revision, Revocation, Row, UnixMicros, Write,
};

use crate::input::Checking;
use crate::key::NoRandomness;
use crate::keys::DAY;
use crate::records::At;
use crate::{Error, Partners};

/// Certificates of an app that work at the same time.
const MOST_CERTIFICATES: usize = 100;

/// Certificates of an app within a day: each may stay on a list of revoked ones until it is over.
const MOST_A_DAY: usize = 200;

/// Bytes of a certificate that is made known, in PEM, with those above it.
const LONGEST_PEM: usize = 32 * 1024;

/// A certificate of somebody else's authority that is made known.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCertificate {
    /// The certificate, in PEM.
    pub certificate: String,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// A name in certificates by which an app is known.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCertificateRule {
    /// The name: `dns:`, `email:`, `uri:` or `subject:`, and what is in the certificate.
    pub name: String,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The certificate of the authority, in PEM, that must have signed itself what the name is in. Left out, it is anybody whom the
    /// listener believes.
    #[serde(default)]
    pub issuer: Option<String>,
}

/// A certificate to be signed.
#[derive(Clone, Copy)]
pub struct Issue<'a> {
    /// The authority's name.
    pub name: &'a str,
    /// The authority.
    pub authority: &'a Authority,
    /// The request, in PEM.
    pub request: &'a str,
    /// What the certificate may do.
    pub scopes: &'a [String],
    /// For how long it is valid, in seconds.
    pub lasts: u64,
    /// Where the list of revoked certificates is, if anywhere.
    pub revocations_at: Option<&'a str>,
}

impl Partners {
    /// Makes a certificate known that somebody else signed: it identifies the app from now on.
    pub async fn register_certificate(&self, app: &AppId, new: NewCertificate) -> Result<At<Certificate>, Error> {
        let mut checking = Checking::default();
        checking.scopes(&Pointer::default(), &new.scopes);
        let at = Pointer::default().at("certificate");
        let read = authority::Certificate::of_client(&new.certificate);
        let read = read.map_err(|error| checking.wrong(&at, error.to_string())).ok();
        if LONGEST_PEM < new.certificate.len() {
            checking.wrong(&at, format!("is longer than {LONGEST_PEM} bytes"));
        }
        if read.as_ref().is_some_and(|read| seconds(read.not_after) <= self.now()) {
            checking.wrong(&at, "is not valid any more");
        }
        let read = checking.done(read)?;
        self.refuse_many_certificates(app).await?;
        let certificate = self.certificate_of(app, read, new.certificate, &new.scopes);
        let certificate = self.records.create(certificate).await?;
        self.tell().await;
        Ok(certificate)
    }

    /// Has an authority of the gateway sign a certificate for an app, by which the app is known from now on.
    pub async fn issue_certificate(&self, app: &AppId, issue: Issue<'_>) -> Result<At<Certificate>, Error> {
        let (certificate, issuance) = self.signed(app, issue)?;
        self.refuse_many_certificates(app).await?;
        let revision = self.records.commit(vec![create(&certificate), create(&issuance)]).await?;
        self.tell().await;
        Ok(At { entity: certificate, revision, used: None })
    }

    /// As [`Self::issue_certificate`], in the place of another one, which works on until it is over or revoked.
    pub async fn renew_certificate(&self, id: &CertificateId, issue: Issue<'_>) -> Result<At<Certificate>, Error> {
        let before = self.certificate(id).await?;
        if self.records.expected().is_some_and(|expected| expected != before.revision) {
            return Err(Error::Changed(id.into()));
        }
        if before.revoked.is_some() {
            return Err(Error::CertificateIsDead(*id));
        }
        let scopes = before.scopes.clone();
        self.issue_certificate(&before.app, Issue { scopes: &scopes, ..issue }).await
    }

    /// Lists an app's certificates, dead ones too.
    pub async fn certificates(&self, app: &AppId) -> Result<Vec<Certificate>, Error> {
        self.records.expect(app).await?;
        let parent = EntityId::from(app);
        let found = self.records.list(Listing { parent: Some(&parent), ..Listing::of(Kind::Certificate) }).await?;
        Ok(found.into_iter().map(|certificate| seen(certificate).entity).collect())
    }

    /// Lists all certificates, a page at a time, or those of one authority of the gateway.
    pub async fn all_certificates(
        &self,
        authority: Option<&str>,
        after: Option<&CertificateId>,
        limit: usize,
    ) -> Result<Vec<Certificate>, Error> {
        let after = after.map(ToString::to_string);
        let listing = Listing { label: authority, after: after.as_deref(), limit, ..Listing::of(Kind::Certificate) };
        let found = self.records.list(listing).await?;
        Ok(found.into_iter().map(|certificate| seen(certificate).entity).collect())
    }

    /// Finds a certificate.
    pub async fn certificate(&self, id: &CertificateId) -> Result<At<Certificate>, Error> {
        Ok(seen(self.records.get(id).await?))
    }

    /// Revokes a certificate: it opens nothing from now on, and its open connections end.
    pub async fn revoke_certificate(&self, id: &CertificateId, reason: Reason) -> Result<At<Certificate>, Error> {
        let revocation = Revocation { at: self.now(), reason };
        let revoke = |certificate: &mut Certificate| {
            certificate.revoked = certificate.revoked.or(Some(revocation));
        };
        let certificate = self.records.change(id, revoke).await?;
        self.tell().await;
        Ok(seen(certificate))
    }

    /// Deletes a certificate: nobody is known by it any more, and its open connections end. One that an authority of the
    /// gateway signed stays on the list of revoked ones until it is over.
    pub async fn delete_certificate(&self, id: &CertificateId) -> Result<(), Error> {
        self.records.delete(id).await?;
        self.tell().await;
        Ok(())
    }

    /// Has an app be known by a name in its certificates, whichever certificate it is.
    pub async fn create_certificate_rule(
        &self,
        app: &AppId,
        new: NewCertificateRule,
    ) -> Result<At<CertificateRule>, Error> {
        let mut checking = Checking::default();
        checking.scopes(&Pointer::default(), &new.scopes);
        let has_form = new.name.split_once(':').is_some_and(|(kind, value)| KINDS.contains(&kind) && !value.is_empty());
        if !has_form || LONGEST_RULE < new.name.len() || new.name.contains(char::is_control) {
            let reason = format!(
                "is no name in a certificate: `dns:`, `email:`, `uri:` or `subject:`, and up to {LONGEST_RULE} bytes in all"
            );
            checking.wrong(&Pointer::default().at("name"), reason);
        }
        let issuer = new.issuer.as_deref().map(authority::issuer_key).transpose().unwrap_or_else(|unfit| {
            checking.wrong(&Pointer::default().at("issuer"), unfit.to_string());
            None
        });
        checking.done(Some(()))?;
        let issuer = issuer.map(|(subject, key)| IssuerKey { subject, key: STANDARD.encode(key) });
        let name = match new.name.strip_prefix("dns:") {
            Some(host) => format!("dns:{}", host.to_ascii_lowercase()),
            None => new.name,
        };
        let (name, app, scopes) = (CertificateName(name), app.clone(), new.scopes);
        let rule = CertificateRule { name, app, scopes, issuer, created: self.now() };
        let rule = self.records.create(rule).await?;
        self.tell().await;
        Ok(rule)
    }

    /// Finds the rule about a name in certificates.
    pub async fn certificate_rule(&self, name: &CertificateName) -> Result<At<CertificateRule>, Error> {
        Ok(self.records.get(name).await?)
    }

    /// Lists rules about names in certificates, a page at a time.
    pub async fn certificate_rules(
        &self,
        after: Option<&CertificateName>,
        limit: usize,
    ) -> Result<Vec<CertificateRule>, Error> {
        let after = after.map(ToString::to_string);
        let listing = Listing { after: after.as_deref(), limit, ..Listing::of(Kind::CertificateRule) };
        Ok(self.records.list(listing).await?.into_iter().map(|rule| rule.entity).collect())
    }

    /// Deletes a rule: nobody is known by that name any more, and what is open by it ends.
    pub async fn delete_certificate_rule(&self, name: &CertificateName) -> Result<(), Error> {
        self.records.delete(name).await?;
        self.tell().await;
        Ok(())
    }

    /// What an authority of the gateway signed that is not to be believed any more, and how far the store has come.
    pub async fn revoked(&self, authority: &str) -> Result<(Vec<Revoked>, Revision), Error> {
        let revision = self.records.registry().revision().await?;
        let now = self.now();
        let of_authority = |kind| Listing { label: Some(authority), ..Listing::of(kind) };
        let signed = self.records.list::<Issuance>(of_authority(Kind::Issuance)).await?;
        let there = self.records.list::<Certificate>(of_authority(Kind::Certificate)).await?;
        let there: hashbrown::HashMap<_, _> =
            there.iter().map(|certificate| (certificate.id, &certificate.entity)).collect();
        let mut revoked = Vec::new();
        for issuance in signed.into_iter().filter(|issuance| now < issuance.expires) {
            let (at, reason) = match there.get(&issuance.certificate) {
                Some(Certificate { revoked: None, .. }) => continue,
                Some(Certificate { revoked: Some(revocation), .. }) => (revocation.at, revocation.reason),
                // Nobody knows any more when it was deleted; it was never to be believed longer than that.
                None => (issuance.created, Reason::CessationOfOperation),
            };
            revoked.push(Revoked { serial: issuance.entity.id.serial, at: at.0 / MICROS, reason });
        }
        Ok((revoked, revision))
    }

    /// Forgets signatures of certificates that are over.
    pub async fn forget_issuances(&self) -> Result<(), Error> {
        let now = self.now();
        for issuance in self.records.list::<Issuance>(Listing::of(Kind::Issuance)).await? {
            if issuance.expires <= now {
                self.records.delete(&issuance.entity.id).await?;
            }
        }
        Ok(())
    }

    /// A certificate that is kept nowhere yet.
    fn signed(&self, app: &AppId, issue: Issue<'_>) -> Result<(Certificate, Issuance), Error> {
        let mut checking = Checking::default();
        checking.scopes(&Pointer::default(), issue.scopes);
        let request = Request::read(issue.request);
        let request = request.map_err(|why| checking.wrong(&Pointer::default().at("request"), why.to_string())).ok();
        let request = checking.done(request)?;
        let mut serial = [0; 16];
        rand::fill(&mut serial).map_err(|_unspecified| NoRandomness)?;
        let now = self.now().0 / MICROS;
        let leaf = Leaf {
            organization: app.company.as_str(),
            unit: app.app.as_str(),
            common_name: request.common_name.as_deref().unwrap_or(app.app.as_str()),
            serial,
            now,
            until: now.saturating_add(issue.lasts),
            revocations_at: issue.revocations_at,
        };
        let pem = issue.authority.sign(&request, &leaf)?;
        let read = authority::Certificate::of_client(&pem)?;
        let mut certificate = self.certificate_of(app, read, pem, issue.scopes);
        certificate.authority = Some(issue.name.to_owned());
        let issuance = Issuance {
            id: IssuanceId { authority: issue.name.to_owned(), serial: certificate.serial.clone() },
            certificate: certificate.id,
            created: certificate.created,
            expires: certificate.expires,
        };
        Ok((certificate, issuance))
    }

    fn certificate_of(&self, app: &AppId, read: authority::Certificate, pem: String, scopes: &[String]) -> Certificate {
        Certificate {
            id: CertificateId(read.fingerprint),
            app: app.clone(),
            authority: None,
            subject: read.subject,
            serial: read.serial,
            names: read.names,
            scopes: scopes.to_vec(),
            not_before: seconds(read.not_before),
            expires: seconds(read.not_after),
            created: self.now(),
            revoked: None,
            last_used: None,
            pem,
        }
    }

    async fn refuse_many_certificates(&self, app: &AppId) -> Result<(), Error> {
        let now = self.now();
        let certificates = self.certificates(app).await?;
        let is_alive = |certificate: &&Certificate| certificate.revoked.is_none() && now < certificate.expires;
        if MOST_CERTIFICATES <= certificates.iter().filter(is_alive).count() {
            return Err(Error::TooManyCertificates { app: app.clone(), most: MOST_CERTIFICATES });
        }
        let is_recent = |certificate: &&Certificate| now.0 < certificate.created.0.saturating_add(DAY);
        if MOST_A_DAY <= certificates.iter().filter(is_recent).count() {
            return Err(Error::TooOften { app: app.clone(), what: "certificates", most: MOST_A_DAY });
        }
        Ok(())
    }
}

fn create<T: store::Entity>(entity: &T) -> Write {
    Write::Create(Row::of(entity))
}

/// A certificate, and when it was last used.
fn seen(mut certificate: At<Certificate>) -> At<Certificate> {
    certificate.entity.last_used = certificate.used;
    certificate
}

fn seconds(seconds: u64) -> UnixMicros {
    UnixMicros(seconds.saturating_mul(MICROS))
}

/// The kinds of names by which an app may be known.
const KINDS: [&str; 4] = ["dns", "email", "uri", "subject"];

/// Bytes of such a name with its kind.
const LONGEST_RULE: usize = 512;

const MICROS: u64 = 1_000_000;
