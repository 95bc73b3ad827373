//! Receivers of notices: programs that take signed events, people who read mail, and Sentry.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alerts::{Dsn, Notice};
use bytes::Bytes;
use exports::{is_secret, rfc3339, signed_headers};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName as MailHeader, HeaderValue as MailValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use model::Document;
use model::alerts::{AlertMail, AlertReceiver, AlertSentry, AlertWebhook, MailEncryption};
use model::upstream::ClientTls;
use problem::{Finding, Pointer, with_causes};
use serde_json::json;
use store::UnixMicros;
use upstream::{Address, Below, Recipient};

/// Receivers by name.
pub(crate) type Receivers = BTreeMap<String, Arc<Receiver>>;

/// Somebody who is told what is wrong.
pub(crate) enum Receiver {
    Webhook { recipient: Box<Recipient>, secret: String },
    Mail(Box<Mailer>),
    Sentry { recipient: Box<Recipient>, dsn: Dsn, environment: String },
}

/// How mail gets to people.
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// The receivers of a document, or what is wrong with them.
pub(crate) fn receivers(document: &Document) -> Result<Receivers, Vec<Finding>> {
    let (mut receivers, mut findings) = (Receivers::new(), Vec::new());
    for (name, written) in &document.alerts.to {
        let at = Pointer::default().at("alerts").at("to").at(name);
        let receiver = match written {
            AlertReceiver::Webhook(written) => webhook(written, &at.at("webhook")),
            AlertReceiver::Mail(written) => mail(written, &at.at("mail")),
            AlertReceiver::Sentry(written) => sentry(written, &at.at("sentry")),
        };
        match receiver {
            Ok(receiver) => drop(receivers.insert(name.clone(), Arc::new(receiver))),
            Err(found) => findings.extend(found),
        }
    }
    if findings.is_empty() { Ok(receivers) } else { Err(findings) }
}

fn webhook(written: &AlertWebhook, at: &Pointer) -> Result<Receiver, Vec<Finding>> {
    let AlertWebhook { url, secret, tls } = written;
    let advice = "write a URL such as `https://ops.example/alerts`";
    let mut findings = Vec::new();
    if !is_secret(secret) {
        let message =
            "is no secret: write `whsec_` and 16 bytes or more in base64, as `openssl rand -base64 32` makes them";
        findings.push(Finding::new(&at.at("secret"), message));
    }
    let recipient = recipient((url, &at.at("url"), advice), tls, at).map_err(|found| findings.extend(found));
    match recipient {
        Ok(recipient) if findings.is_empty() => Ok(Receiver::Webhook { recipient, secret: secret.trim().to_owned() }),
        Ok(_) | Err(()) => Err(findings),
    }
}

fn sentry(written: &AlertSentry, at: &Pointer) -> Result<Receiver, Vec<Finding>> {
    let AlertSentry { dsn, environment, tls } = written;
    let dsn = Dsn::read(dsn.trim()).map_err(|message| vec![Finding::new(&at.at("dsn"), message)])?;
    let recipient = recipient((&dsn.envelopes, &at.at("dsn"), "write the DSN of the project"), tls, at)?;
    Ok(Receiver::Sentry { recipient, dsn, environment: environment.clone() })
}

fn recipient(
    (url, url_at, advice): (&str, &Pointer, &str),
    tls: &ClientTls,
    at: &Pointer,
) -> Result<Box<Recipient>, Vec<Finding>> {
    let address = Address { name: "alerts", url, url_at, below: Below::Nothing, tls, at, advice, patience: PATIENCE };
    Recipient::compile(&address).map(Box::new)
}

fn mail(written: &AlertMail, at: &Pointer) -> Result<Receiver, Vec<Finding>> {
    let AlertMail { server, from, to, encryption, ca, user, password } = written;
    let mut findings = Vec::new();
    let mut wrong = |at: Pointer, message: String| findings.push(Finding::new(&at, message));
    let place = server.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let place = place.filter(|(host, _)| !host.is_empty());
    if place.is_none() {
        wrong(at.at("server"), "is no server with its port: write one such as `smtp.example:587`".to_owned());
    }
    let mut address = |text: &str, at: Pointer| {
        let form = "write an address such as `ops@example.com` or `Operators <ops@example.com>`";
        text.parse::<Mailbox>().map_err(|error| wrong(at, format!("is no address for mail ({error}): {form}"))).ok()
    };
    let from = address(from, at.at("from"));
    let to: Vec<Mailbox> =
        to.iter().enumerate().filter_map(|(index, text)| address(text, at.at("to").at(index))).collect();
    let credentials = match (user, password) {
        (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.trim().to_owned())),
        (None, None) => None,
        _ => {
            wrong(at.clone(), "needs `user` and `password` together".to_owned());
            None
        }
    };
    if credentials.is_some() && *encryption == MailEncryption::None {
        wrong(
            at.at("encryption"),
            "would show the password to everybody on the way: write `starttls` or `tls`".to_owned(),
        );
    }
    let host = place.map(|(host, _)| host).unwrap_or_default();
    let tls = secured(host, *encryption, ca.as_deref()).map_err(|message| wrong(at.at("ca"), message)).ok();
    match (place, from, tls) {
        (Some((host, port)), Some(from), Some(tls)) if findings.is_empty() => {
            let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.trim_matches(['[', ']']));
            let builder = builder.port(port).tls(tls).timeout(Some(PATIENCE)).hello_name(machine());
            let builder = match credentials {
                Some(credentials) => builder.credentials(credentials),
                None => builder,
            };
            Ok(Receiver::Mail(Box::new(Mailer { transport: builder.build(), from, to })))
        }
        _ => Err(findings),
    }
}

/// TLS towards a mail server, by the one stack that there is.
fn secured(host: &str, encryption: MailEncryption, ca: Option<&Path>) -> Result<Tls, String> {
    let parameters = || {
        let builder = TlsParameters::builder(host.trim_matches(['[', ']']).to_owned());
        let builder = match ca {
            None => builder.certificate_store(CertificateStore::WebpkiRoots),
            Some(file) => {
                let pem = std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
                let authority = Certificate::from_pem(&pem)
                    .map_err(|error| format!("{} holds no certificate authority: {error}", file.display()))?;
                builder.certificate_store(CertificateStore::None).add_root_certificate(authority)
            }
        };
        builder.build().map_err(|error| format!("TLS cannot be set up: {error}"))
    };
    match encryption {
        MailEncryption::Starttls => parameters().map(Tls::Required),
        MailEncryption::Tls => parameters().map(Tls::Wrapper),
        MailEncryption::None => Ok(Tls::None),
    }
}

/// What this machine says it is called.
fn machine() -> ClientId {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if is_name { ClientId::Domain(name.to_owned()) } else { ClientId::default() }
}

impl Receiver {
    /// The word for its kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Mail(_) => "mail",
            Self::Sentry { .. } => "sentry",
        }
    }

    /// How many notices are one message.
    pub(crate) fn at_once(&self) -> usize {
        match self {
            Self::Mail(_) => 50,
            Self::Webhook { .. } | Self::Sentry { .. } => 1,
        }
    }

    /// Tells it, once; or says why it did not take it.
    pub(crate) async fn tell(&self, notices: &[Notice], node: &str, now: UnixMicros) -> Result<(), String> {
        match self {
            Self::Mail(mailer) => mailer.send(notices, now).await,
            Self::Webhook { recipient, secret } => {
                for notice in notices {
                    let event = json!({ "type": notice.kind(), "timestamp": rfc3339(now), "data": notice.data() });
                    let body = event.to_string();
                    let headers = signed_headers(&[secret], &notice.id, now, &body)?;
                    posted(recipient, headers, body).await?;
                }
                Ok(())
            }
            Self::Sentry { recipient, dsn, environment } => {
                let authorization = HeaderValue::try_from(dsn.authorization()).map_err(|error| error.to_string())?;
                for envelope in notices.iter().filter_map(|notice| notice.envelope(environment, node, now)) {
                    let headers = HeaderMap::from_iter([
                        (CONTENT_TYPE, HeaderValue::from_static("application/x-sentry-envelope")),
                        (HeaderName::from_static("x-sentry-auth"), authorization.clone()),
                    ]);
                    posted(recipient, headers, envelope).await?;
                }
                Ok(())
            }
        }
    }
}

async fn posted(recipient: &Recipient, headers: HeaderMap, body: String) -> Result<(), String> {
    let reply = recipient
        .post(headers, Bytes::from(body), LONGEST_ANSWER)
        .await
        .map_err(|failed| failed.cause.map_or_else(|| "it did not answer".to_owned(), |cause| cause.to_string()))?;
    if reply.status.is_success() { Ok(()) } else { Err(refused(reply.status)) }
}

fn refused(status: StatusCode) -> String {
    format!("it answered with status {}", status.as_u16())
}

impl Mailer {
    async fn send(&self, notices: &[Notice], now: UnixMicros) -> Result<(), String> {
        let Some(first) = notices.first() else { return Ok(()) };
        let (subject, body) = Notice::mail(notices, now);
        let mut message = Message::builder().from(self.from.clone()).subject(subject).header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        // The same mail has the same name, so that one that comes twice can be told.
        let name = format!("<{}.{}@vestibule.invalid>", first.id, notices.len());
        let automatic = MailValue::new(MailHeader::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let message = message.message_id(Some(name)).raw_header(automatic).body(body);
        let message = message.map_err(|error| format!("the mail cannot be written: {error}"))?;
        let sent = tokio::time::timeout(LONGEST, self.transport.send(message)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(with_causes(&error)),
            Err(_elapsed) => Err("the mail server took too long".to_owned()),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
/// A mail has several steps, each of which may take its time.
const LONGEST: Duration = Duration::from_secs(14);
const LONGEST_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn found(receiver: &Value) -> Vec<String> {
        let document = json!({ "version": 1, "listeners": {}, "alerts": { "to": { "ops": receiver } } });
        let document = serde_json::from_value(document).unwrap();
        receivers(&document).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn receivers_are_what_they_should_be() {
        let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let mail =
            json!({ "server": "smtp.example:587", "from": "Gateway <g@example.com>", "to": ["ops@example.com"] });
        for good in [
            json!({ "webhook": { "url": "https://ops.example/alerts", "secret": secret } }),
            json!({ "mail": mail }),
            json!({ "sentry": { "dsn": "https://abc@sentry.example/4" } }),
        ] {
            assert_eq!(found(&good), [""; 0]);
        }
    }

    #[test]
    fn every_mistake_is_found_where_it_is() {
        let mail = |changes: Value| {
            let mut mail = json!({ "server": "smtp.example:587", "from": "g@example.com", "to": ["ops@example.com"] });
            mail.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            json!({ "mail": mail })
        };
        for (receiver, expected) in [
            (
                json!({ "webhook": { "url": "https://ops.example/", "secret": "whsec_AAAA" } }),
                "/alerts/to/ops/webhook/secret: is no secret",
            ),
            (
                json!({ "webhook": { "url": "ops", "secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" } }),
                "/alerts/to/ops/webhook/url: has no scheme",
            ),
            (json!({ "sentry": { "dsn": "https://sentry.example/4" } }), "/alerts/to/ops/sentry/dsn: has no key"),
            (mail(json!({ "server": "smtp.example" })), "/alerts/to/ops/mail/server: is no server with its port"),
            (mail(json!({ "from": "gateway" })), "/alerts/to/ops/mail/from: is no address for mail"),
            (mail(json!({ "to": ["a@b.example", "c"] })), "/alerts/to/ops/mail/to/1: is no address for mail"),
            (mail(json!({ "user": "me" })), "/alerts/to/ops/mail: needs `user` and `password` together"),
            (
                mail(json!({ "user": "me", "password": "x", "encryption": "none" })),
                "/alerts/to/ops/mail/encryption: would show the password",
            ),
            (mail(json!({ "ca": "/nowhere" })), "/alerts/to/ops/mail/ca: /nowhere cannot be read"),
        ] {
            let findings = found(&receiver);
            assert!(findings.len() == 1 && findings[0].starts_with(expected), "{findings:?}");
        }
    }
}
