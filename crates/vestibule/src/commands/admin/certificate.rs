//! `vestibule admin certificate`: what apps identify themselves with on TLS connections.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::app::Named;
use super::call::{Answer, Call};
use super::show;

/// Certificates of apps.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists an app's certificates, dead ones too; without an app, all.
    List {
        /// The app.
        #[arg(value_name = "COMPANY/APP")]
        app: Option<Named>,
        /// Only those that this authority of the gateway signed.
        #[arg(long, value_name = "NAME", conflicts_with = "app")]
        authority: Option<String>,
    },
    /// Has an authority of the gateway sign a certificate for an app, and prints it with those above it.
    Sign {
        /// The app.
        #[arg(value_name = "COMPANY/APP")]
        app: Named,
        /// The certificate request (PEM), as `openssl req -new` makes it.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// The authority, if there are several.
        #[arg(long, value_name = "NAME")]
        authority: Option<String>,
        /// What it may do; may be given several times.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// For how long it is valid, such as `90d`.
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<String>,
    },
    /// Makes a certificate known that somebody else signed: it identifies the app from now on.
    Register {
        /// The app.
        #[arg(value_name = "COMPANY/APP")]
        app: Named,
        /// The certificate (PEM).
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// What it may do; may be given several times.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// Shows a certificate.
    Show {
        /// Its fingerprint: SHA-256, with or without colons.
        fingerprint: String,
    },
    /// Has a certificate signed in the place of another one, which works on until it is revoked or over.
    Renew {
        /// The other one's fingerprint: SHA-256, with or without colons.
        fingerprint: String,
        /// The certificate request (PEM).
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// The authority, if it is another one.
        #[arg(long, value_name = "NAME")]
        authority: Option<String>,
        /// For how long it is valid, such as `90d`.
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<String>,
    },
    /// Makes a certificate open nothing from now on, and ends its open connections.
    Revoke {
        /// Its fingerprint: SHA-256, with or without colons.
        fingerprint: String,
        /// Why: `unspecified`, `key-compromise`, `affiliation-changed`, `superseded`, `cessation-of-operation` or
        /// `privilege-withdrawn`.
        #[arg(long, default_value = "unspecified")]
        reason: String,
    },
    /// Forgets a certificate, and ends its open connections.
    Delete {
        /// Its fingerprint: SHA-256, with or without colons.
        fingerprint: String,
    },
    /// Lists the authorities that sign here, with their certificates.
    Authorities,
    /// Has an authority that the gateway made sign with a new certificate of its key, and prints it. Who has the one before
    /// believes what it signs until that is over.
    RenewAuthority {
        /// The authority.
        authority: String,
    },
    /// Prints the list of what an authority signed that is revoked, in PEM.
    Revocations {
        /// The authority.
        authority: String,
    },
}

impl Command {
    pub(crate) fn call(&self) -> Result<Call, String> {
        Ok(match self {
            Self::List { app: Some(Named { company, app }), .. } => {
                Call::get(&["companies", company, "apps", app, "certificates"], Answer::List(COLUMNS))
            }
            Self::List { app: None, authority } => {
                Call::get(&["certificates"], Answer::List(COLUMNS)).with_query([("authority", authority.as_ref())])
            }
            Self::Sign { app: Named { company, app }, request, authority, scopes, expires_in } => {
                let body = json!({
                    "request": text(request)?, "authority": authority, "scopes": scopes, "expires_in": expires_in
                });
                Call::post(&["companies", company, "apps", app, "certificates"], Some(body), SIGNED)
            }
            Self::Register { app: Named { company, app }, certificate, scopes } => {
                let body = json!({ "certificate": text(certificate)?, "scopes": scopes });
                Call::post(&["companies", company, "apps", app, "certificates", "register"], Some(body), FOUND)
            }
            Self::Show { fingerprint } => Call::get(&["certificates", fingerprint], FOUND),
            Self::Renew { fingerprint, request, authority, expires_in } => {
                let body = json!({ "request": text(request)?, "authority": authority, "expires_in": expires_in });
                Call::post(&["certificates", fingerprint, "renew"], Some(body), SIGNED)
            }
            Self::Revoke { fingerprint, reason } => {
                Call::post(&["certificates", fingerprint, "revoke"], Some(json!({ "reason": reason })), Answer::One)
            }
            Self::Delete { fingerprint } => Call::delete(
                &["certificates", fingerprint],
                format!("the certificate {fingerprint} is deleted, and its open connections end"),
            ),
            Self::Revocations { authority } => Call::get(&["certificate-authorities", authority, "crl"], Answer::Text),
            Self::RenewAuthority { authority } => {
                Call::post(&["certificate-authorities", authority, "renew"], None, Answer::Special(renewed))
            }
            Self::Authorities => Call::get(&["certificate-authorities"], Answer::Special(authorities)),
        })
    }
}

/// What is in a file.
pub(super) fn text(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

/// What was signed, ready for a file: the certificate and those above it, and nothing else.
fn signed(answer: &Value) -> String {
    let pem = |member: &str| answer.get(member).and_then(Value::as_str).unwrap_or_default();
    format!("{}{}", pem("certificate"), pem("chain"))
}

/// A certificate without its text, which `--json` has.
fn found(answer: &Value) -> String {
    let mut told = answer.clone();
    if let Some(members) = told.as_object_mut() {
        members.shift_remove("certificate");
        members.shift_remove("chain");
    }
    show::record(&told)
}

fn authorities(answer: &Value) -> String {
    let items = answer.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |item: &Value, member: &str| item.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let told = items.iter().map(|item| {
        let (name, subject, expires) = (text(item, "name"), text(item, "subject"), text(item, "expires"));
        format!("# {name}: {subject}, valid until {expires}\n{}", text(item, "certificate"))
    });
    let told: String = told.collect();
    if told.is_empty() { "nothing\n".to_owned() } else { told }
}

/// An authority's new certificate, and nothing else.
fn renewed(answer: &Value) -> String {
    answer.get("certificate").and_then(Value::as_str).unwrap_or_default().to_owned()
}

const COLUMNS: &[&str] = &["fingerprint", "company", "app", "state", "authority", "subject", "expires", "last_used"];
const SIGNED: Answer = Answer::Special(signed);
const FOUND: Answer = Answer::Special(found);
