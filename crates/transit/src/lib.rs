//! A master key that never leaves Vault, or `OpenBao`: its secrets engine `transit` wraps and opens data keys.
//!
//! A vault of secrets is asked by threads that may wait. A thread of its own, with a runtime of its own, asks the server for them:
//! so no runtime waits for itself.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use model::keys::{Encryption, Transit as Settings};
use problem::{Finding, Pointer};
use secrets::Keeper;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime;
use upstream::{Address, Below, Recipient, Reply};

/// A key of a secrets engine `transit`.
pub struct Transit {
    name: String,
    asking: mpsc::Sender<Asked>,
}

/// What the thread is asked, and where it answers.
struct Asked {
    what: What,
    body: Value,
    answer: mpsc::Sender<Result<Answer, Trouble>>,
}

/// What the engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Encrypt,
    Decrypt,
    Rewrap,
    Rotate,
}

/// What it answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    data: Option<Values>,
    errors: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Values {
    ciphertext: String,
    plaintext: String,
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// The server, as it is asked.
struct Server {
    recipients: [(What, Recipient); 4],
    /// What messages call it.
    url: String,
    path: String,
    token: Token,
    namespace: Option<HeaderValue>,
    patience: Duration,
}

enum Token {
    Given(HeaderValue),
    /// It is read for each question: whoever renews it writes it anew.
    File(PathBuf),
}

/// What is wrong with the settings of a document.
pub fn check(encryption: &Encryption) -> Vec<Finding> {
    let compiled = encryption.transit.as_ref().map(|settings| Server::compile(settings, &at()));
    compiled.map_or_else(Vec::new, |compiled| compiled.err().unwrap_or_default())
}

/// What a vault cannot be opened for, if it is the server, and not the store.
pub fn finding(cause: Trouble) -> Result<Finding, Trouble> {
    match cause.downcast_ref() {
        Some(error @ secrets::Error::Elsewhere(_)) => Ok(Finding::new(&at(), error.to_string())),
        _ => Err(cause),
    }
}

/// Where the settings stand.
fn at() -> Pointer {
    Pointer::default().at("encryption").at("transit")
}

impl Transit {
    /// The key of these settings. Nobody is asked yet.
    pub fn open(settings: &Settings) -> Result<Self, Trouble> {
        let server = Server::compile(settings, &at()).map_err(|found| {
            let told: Vec<_> = found.iter().map(ToString::to_string).collect();
            told.join("; ")
        })?;
        let (asking, asked) = mpsc::channel::<Asked>();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            while let Ok(Asked { what, body, answer }) = asked.recv() {
                // Nobody may wait for the answer any more; then it is nobody's.
                drop(answer.send(runtime.block_on(server.ask(what, &body))));
            }
        };
        thread::Builder::new().name("transit".to_owned()).spawn(work)?;
        Ok(Self { name: format!("transit:{}/{}", settings.mount, settings.key), asking })
    }

    fn ask(&self, what: What, body: Value) -> Result<Values, Trouble> {
        let (answer, answered) = mpsc::channel();
        let gone = |how: &str| format!("the thread that asks the server {how}");
        self.asking.send(Asked { what, body, answer }).map_err(|_gone| gone("is gone"))?;
        let answer = answered.recv().map_err(|_gone| gone("gave up"))??;
        Ok(answer.data.unwrap_or_default())
    }
}

impl Keeper for Transit {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn wrap(&self, key: &[u8]) -> Result<String, Trouble> {
        let wrapped = self.ask(What::Encrypt, json!({ "plaintext": STANDARD.encode(key) }))?.ciphertext;
        said(wrapped, "ciphertext")
    }

    fn open(&self, wrapped: &str) -> Result<Vec<u8>, Trouble> {
        let key = self.ask(What::Decrypt, json!({ "ciphertext": wrapped }))?.plaintext;
        Ok(STANDARD.decode(said(key, "plaintext")?)?)
    }

    fn renew(&self) -> Result<(), Trouble> {
        self.ask(What::Rotate, json!({})).map(drop)
    }

    fn wrap_again(&self, wrapped: &str) -> Result<String, Trouble> {
        said(self.ask(What::Rewrap, json!({ "ciphertext": wrapped }))?.ciphertext, "ciphertext")
    }
}

fn said(text: String, member: &str) -> Result<String, Trouble> {
    if text.is_empty() { Err(format!("the server's answer has no `{member}`").into()) } else { Ok(text) }
}

impl Server {
    fn compile(settings: &Settings, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let Settings { url, key, mount, namespace, tls, timeout, .. } = settings;
        let mut findings = Vec::new();
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !is_word(key) {
            findings.push(Finding::new(&at.at("key"), format!("`{key}` is no name of a key in `transit`")));
        }
        if !mount.split('/').all(is_word) {
            findings.push(Finding::new(&at.at("mount"), format!("`{mount}` is no path that an engine is mounted at")));
        }
        if is_in_the_clear(url) {
            let message =
                "would send the token where others can read it: write `https://`, unless the server is on this machine";
            findings.push(Finding::new(&at.at("url"), message));
        }
        if timeout.duration().is_zero() {
            findings.push(Finding::new(&at.at("timeout"), "is no time at all"));
        }
        let namespace = namespace.as_ref().map(|name| header(name, "namespace", at)).transpose();
        let token = token(settings, at);
        let recipient = |what: What| {
            let url_at = at.at("url");
            let url = &format!("{}/v1/{mount}/{}", url.trim_end_matches('/'), what.below(key));
            let advice = "write a URL such as `https://vault.example:8200`";
            let (below, patience) = (Below::Nothing, timeout.duration());
            Recipient::compile(&Address { name: "transit", url, url_at: &url_at, below, tls, at, advice, patience })
                .map(|recipient| (what, recipient))
        };
        let recipients = match [What::Encrypt, What::Decrypt, What::Rewrap, What::Rotate].map(recipient) {
            [Ok(encrypt), Ok(decrypt), Ok(rewrap), Ok(rotate)] => Some([encrypt, decrypt, rewrap, rotate]),
            [Err(found), ..] => {
                findings.extend(found);
                None
            }
            // What is wrong with one is wrong with the first.
            _ => None,
        };
        match (recipients, token, namespace) {
            (Some(recipients), Ok(token), Ok(namespace)) if findings.is_empty() => Ok(Self {
                recipients,
                url: url.clone(),
                path: format!("{mount}/{}", What::Encrypt.below(key)),
                token,
                namespace,
                patience: timeout.duration(),
            }),
            (_, token, namespace) => {
                findings.extend(token.err().into_iter().chain(namespace.err()));
                Err(findings)
            }
        }
    }

    /// Asks, and once more where a connection failed: whatever is asked may be done twice.
    async fn ask(&self, what: What, body: &Value) -> Result<Answer, Trouble> {
        match self.reply(what, body).await {
            Ok(reply) => self.understood(what, &reply),
            Err(_first) => match self.reply(what, body).await {
                Ok(reply) => self.understood(what, &reply),
                Err(why) => Err(format!("{} does not answer: {why}", self.url).into()),
            },
        }
    }

    async fn reply(&self, what: What, body: &Value) -> Result<Reply, Trouble> {
        let token = match &self.token {
            Token::Given(token) => token.clone(),
            Token::File(path) => {
                let unreadable = |why: &dyn std::fmt::Display| format!("the token in {}: {why}", path.display());
                let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
                secret(text.trim()).ok_or_else(|| unreadable(&"has characters that no token has"))?
            }
        };
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("x-vault-token"), token),
            // Agents of the server ask for it, so that no page can have a browser ask them.
            (HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true")),
        ]);
        if let Some(namespace) = &self.namespace {
            headers.insert(HeaderName::from_static("x-vault-namespace"), namespace.clone());
        }
        let recipient = self.recipients.iter().find(|(known, _)| *known == what);
        let Some((_, recipient)) = recipient else { return Err("it cannot be asked".into()) };
        let asked = recipient.post(headers, Bytes::from(body.to_string()), LONGEST_ANSWER);
        match tokio::time::timeout(self.patience, asked).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(failed)) => Err(failed
                .cause
                .map_or_else(|| failed.kind.proxy_error().replace('_', " "), |cause| cause.to_string())
                .into()),
            Err(_elapsed) => Err(format!("it took longer than {:?}", self.patience).into()),
        }
    }

    /// What an answer says, or in words what is to be done.
    fn understood(&self, what: What, reply: &Reply) -> Result<Answer, Trouble> {
        let body = reply.body.as_ref().map(Bytes::as_ref).unwrap_or_default();
        let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
        let told = if answer.errors.is_empty() { String::new() } else { format!(" ({})", answer.errors.join("; ")) };
        let (url, path) = (&self.url, &self.path);
        let why = match reply.status.as_u16() {
            200..=299 => return Ok(answer),
            403 if what == What::Rotate => format!(
                "the token may not make a new version of the key{told}: let it `update` that, or have somebody make one, and \
                 repeat this with `--wrap-only`"
            ),
            403 => format!(
                "the token is not good enough{told}: it must be one that may `update` {path} and what is beside it"
            ),
            404 => format!("there is no `transit` engine where it is looked for{told}: mount one, or see `mount`"),
            503 => format!("it is sealed, or not ready{told}"),
            status => format!("it answered {status}{told}"),
        };
        Err(format!("{url}: {why}").into())
    }
}

impl What {
    /// The path below that of the engine.
    fn below(self, key: &str) -> String {
        match self {
            Self::Encrypt => format!("encrypt/{key}"),
            Self::Decrypt => format!("decrypt/{key}"),
            Self::Rewrap => format!("rewrap/{key}"),
            Self::Rotate => format!("keys/{key}/rotate"),
        }
    }
}

fn token(settings: &Settings, at: &Pointer) -> Result<Token, Finding> {
    match (&settings.token, &settings.token_file) {
        (Some(token), None) => Ok(Token::Given(header(token.trim(), "token", at)?)),
        (None, Some(file)) => Ok(Token::File(file.clone())),
        (Some(_), Some(_)) => Err(Finding::new(at, "has both `token` and `token_file`: one of them says who asks")),
        (None, None) => Err(Finding::new(at, "needs `token`, such as `${env:VAULT_TOKEN}`, or `token_file`")),
    }
}

fn header(text: &str, member: &str, at: &Pointer) -> Result<HeaderValue, Finding> {
    let value = secret(text).filter(|value| !value.is_empty());
    value.ok_or_else(|| Finding::new(&at.at(member), "is empty, or has characters that no header may have"))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether what is sent there leaves this machine unencrypted.
fn is_in_the_clear(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_here =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    url.scheme_str() == Some("http") && !is_here
}

const LONGEST_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_findings() {
        let good = json!({ "url": "https://v:8200", "key": "k", "token": "t" });
        let found = |more: Value| {
            let mut settings = good.clone();
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let transit = serde_json::from_value(settings).unwrap();
            let found = check(&Encryption { transit: Some(transit), ..Encryption::default() });
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(found(json!({})), "");
        for url in ["http://127.0.0.1:8200", "http://localhost:8200/", "http://[::1]:1"] {
            assert_eq!(found(json!({ "url": url })), "");
        }
        for (more, expected) in [
            (json!({ "url": "http://vault.example:8200" }), "/encryption/transit/url: would send the token"),
            (json!({ "url": "vault" }), "/encryption/transit/url: is no URL"),
            (json!({ "key": "a/b" }), "/encryption/transit/key: `a/b` is no name"),
            (json!({ "mount": "a//b" }), "/encryption/transit/mount: `a//b` is no path"),
            (json!({ "token": " " }), "/encryption/transit/token: is empty"),
            (json!({ "token": null }), "/encryption/transit: needs `token`"),
            (json!({ "token_file": "t" }), "/encryption/transit: has both `token` and `token_file`"),
            (json!({ "timeout": "0s" }), "/encryption/transit/timeout: is no time at all"),
            (json!({ "tls": { "ca": "/nowhere" } }), "/encryption/transit/tls/ca: /nowhere cannot be read"),
        ] {
            let found = found(more);
            assert!(found.starts_with(expected), "{expected}: {found}");
        }
    }
}
