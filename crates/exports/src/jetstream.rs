//! A stream of NATS `JetStream`: a connection, and messages that the stream acknowledges.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use model::usage::{EventNats, NatsLogin, NatsUser};
use nats::{Identity, Info, Malformed, Message, Said, Seed};
use problem::{Finding, Pointer};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::time::Instant;
use upstream::socket::{Dialer, Socket};

/// A stream.
pub(crate) struct JetStream {
    servers: Vec<Dialer>,
    login: Login,
    subject: String,
    stream: Option<String>,
    open: Mutex<Option<Connection>>,
}

enum Login {
    Nobody,
    User(NatsUser),
    Token(String),
    Key(Seed),
}

/// A connection on which both sides know each other.
struct Connection {
    socket: Socket,
    /// What the server said and nobody has read yet.
    arrived: BytesMut,
    /// Where acknowledgements come to.
    inbox: String,
    /// How many messages were published.
    published: u64,
    used: Instant,
}

/// Why messages were not published, or not acknowledged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the server says: {0}")]
    Said(String),
    #[error("the server {0}")]
    Unfit(&'static str),
    #[error("no stream takes the subject `{0}`; make one that does")]
    NoStream(String),
    #[error("the stream does not take them: {0}")]
    NotTaken(String),
    #[error("no server of NATS can be used: {}", .0.join("; "))]
    Unreachable(Vec<String>),
}

impl JetStream {
    /// The stream that an operator wrote, or what is wrong with it.
    pub(crate) fn compile(settings: &EventNats, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let EventNats { servers, subject, stream, login, tls } = settings;
        let (mut dialers, mut findings) = (Vec::new(), Vec::new());
        for (index, address) in servers.iter().enumerate() {
            match Dialer::compile((address, &at.at("servers").at(index)), tls.as_ref(), &at.at("tls")) {
                Ok(dialer) => dialers.push(dialer),
                Err(found) => findings.extend(found),
            }
        }
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        if !subject.split('.').all(|word| is_word(word) && word != "*" && word != ">") {
            let message = "is no subject to publish to: write words with points between them, such as `billing.usage`";
            findings.push(Finding::new(&at.at("subject"), message));
        }
        if stream.as_ref().is_some_and(|name| !is_word(name) || name.contains(['.', '*', '>', '/', '\\'])) {
            findings.push(Finding::new(&at.at("stream"), "is no name of a stream, such as `USAGE`"));
        }
        let login = match login {
            None => Ok(Login::Nobody),
            Some(NatsLogin::User(user)) => {
                Ok(Login::User(NatsUser { name: user.name.clone(), password: user.password.trim().to_owned() }))
            }
            Some(NatsLogin::Token(token)) => Ok(Login::Token(token.trim().to_owned())),
            Some(NatsLogin::Nkey(seed)) => Seed::parse(seed).map(Login::Key),
        };
        match login {
            Ok(login) if findings.is_empty() => {
                let (subject, stream) = (subject.clone(), stream.clone());
                Ok(Self { servers: dialers, login, subject, stream, open: Mutex::new(None) })
            }
            Ok(_) => Err(findings),
            Err(wrong) => {
                findings.push(Finding::new(&at.at("login").at("nkey"), wrong.to_string()));
                Err(findings)
            }
        }
    }

    /// Publishes events, and waits until the stream has acknowledged each.
    pub(crate) async fn publish(&self, events: &[Value]) -> Result<(), Trouble> {
        let mut open = self.open.lock().await;
        // Taken out: after a failure it is of no use.
        let mut connection = match open.take().filter(Connection::is_of_use) {
            Some(connection) => connection,
            None => self.connected().await?,
        };
        in_time(connection.publish(&self.subject, self.stream.as_deref(), events)).await?;
        connection.used = Instant::now();
        *open = Some(connection);
        Ok(())
    }

    /// A connection to the first server that can be used.
    async fn connected(&self) -> Result<Connection, Trouble> {
        let mut troubles = Vec::new();
        for server in &self.servers {
            match in_time(self.introduced(server)).await {
                Ok(connection) => return Ok(connection),
                Err(trouble) => troubles.push(format!("{}: {trouble}", server.address)),
            }
        }
        Err(Trouble::Unreachable(troubles))
    }

    async fn introduced(&self, server: &Dialer) -> Result<Connection, Trouble> {
        let (mut tcp, mut arrived) = (server.plain().await?, BytesMut::new());
        let Said::Info(info) = heard(&mut tcp, &mut arrived).await? else {
            return Err(Trouble::Unfit("does not say how it is"));
        };
        match (server.wants_tls(), info.tls_required || info.tls_available) {
            (true, false) => return Err(Trouble::Unfit("does not offer TLS")),
            // What was said before TLS begins may be somebody else's.
            (true, true) if !arrived.is_empty() => return Err(Trouble::Unfit("says more than it may before TLS")),
            (false, _) if info.tls_required => return Err(Trouble::Unfit("wants TLS: write `tls: {}`")),
            _ => {}
        }
        if !info.headers {
            return Err(Trouble::Unfit("is too old: it knows no headers"));
        }
        let socket = server.secure(tcp).await?;
        let mut chance = [0; 16];
        aws_lc_rs::rand::fill(&mut chance).map_err(|_unspecified| Trouble::Unfit("finds no chance here"))?;
        let inbox = format!("_INBOX.{:032x}", u128::from_be_bytes(chance));
        let mut connection = Connection { socket, arrived, inbox, published: 0, used: Instant::now() };
        connection.introduce(&self.login, &info).await?;
        Ok(connection)
    }
}

impl Connection {
    /// Whether it can be expected to be there still. Servers end connections that do not answer them for minutes.
    fn is_of_use(&self) -> bool {
        self.used.elapsed() < LONGEST_REST && self.socket.is_of_use()
    }

    /// Logs in, and waits until the server has accepted that.
    async fn introduce(&mut self, login: &Login, info: &Info) -> Result<(), Trouble> {
        let (public, signature);
        let identity = match login {
            Login::Nobody => Identity::Anyone,
            Login::User(user) => Identity::User(&user.name, &user.password),
            Login::Token(token) => Identity::Token(token),
            Login::Key(seed) => {
                let nonce = info.nonce.as_deref().ok_or(Trouble::Unfit("does not let keys log in"))?;
                (public, signature) = (seed.public(), seed.sign(nonce));
                Identity::Key { public: &public, signature: &signature }
            }
        };
        let mut said = Vec::new();
        nats::connect(&mut said, identity, "vestibule", env!("CARGO_PKG_VERSION"));
        nats::subscribe(&mut said, &format!("{}.*", self.inbox), 1);
        nats::ping(&mut said);
        self.say(&said).await?;
        loop {
            match heard(&mut self.socket, &mut self.arrived).await? {
                Said::Pong => return Ok(()),
                Said::Ping => self.pong().await?,
                Said::Error(error) => return Err(Trouble::Said(error)),
                Said::Info(_) | Said::Ok | Said::Message(_) => {}
            }
        }
    }

    /// Publishes all, and then waits for as many acknowledgements.
    async fn publish(&mut self, subject: &str, stream: Option<&str>, events: &[Value]) -> Result<(), Trouble> {
        let (mut said, mut missing) = (Vec::with_capacity(events.len() * 768), BTreeSet::new());
        for event in events {
            let id = event.get("id").and_then(Value::as_str).unwrap_or_default();
            let mut headers = vec![("Content-Type", "application/cloudevents+json"), ("Nats-Msg-Id", id)];
            headers.extend(stream.map(|name| ("Nats-Expected-Stream", name)));
            self.published += 1;
            let reply = format!("{}.{}", self.inbox, self.published);
            nats::publish(&mut said, subject, &reply, &headers, event.to_string().as_bytes());
            missing.insert(self.published);
        }
        self.say(&said).await?;
        while !missing.is_empty() {
            match heard(&mut self.socket, &mut self.arrived).await? {
                Said::Message(message) => {
                    let of = message.subject.strip_prefix(&self.inbox).and_then(|rest| rest.strip_prefix('.'));
                    let number = of.and_then(|number| number.parse().ok());
                    if number.is_some_and(|number| missing.contains(&number)) {
                        acknowledged(&message, subject)?;
                    }
                    number.map(|number| missing.remove(&number));
                }
                Said::Ping => self.pong().await?,
                Said::Error(error) => return Err(Trouble::Said(error)),
                Said::Info(_) | Said::Ok | Said::Pong => {}
            }
        }
        Ok(())
    }

    async fn pong(&mut self) -> Result<(), Trouble> {
        let mut said = Vec::new();
        nats::pong(&mut said);
        self.say(&said).await
    }

    async fn say(&mut self, said: &[u8]) -> Result<(), Trouble> {
        self.socket.write_all(said).await?;
        Ok(self.socket.flush().await?)
    }
}

/// The next thing that a server says.
async fn heard(socket: &mut (impl AsyncRead + Unpin), arrived: &mut BytesMut) -> Result<Said, Trouble> {
    loop {
        if let Some(said) = Said::next(arrived)? {
            return Ok(said);
        }
        if socket.read_buf(arrived).await? == 0 {
            return Err(Trouble::Unfit("ended the connection"));
        }
    }
}

/// Whether what came back for a message says that the stream has it.
fn acknowledged(message: &Message, subject: &str) -> Result<(), Trouble> {
    /// What a stream answers; a message that it had already is acknowledged, too.
    #[derive(Deserialize)]
    struct Answer {
        stream: Option<String>,
        error: Option<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        description: String,
    }
    if message.status.is_some() {
        return Err(Trouble::NoStream(subject.to_owned()));
    }
    match serde_json::from_slice(&message.payload) {
        Ok(Answer { error: Some(error), .. }) => Err(Trouble::NotTaken(error.description)),
        Ok(Answer { stream: Some(_), error: None }) => Ok(()),
        Ok(Answer { stream: None, error: None }) | Err(_) => {
            Err(Trouble::NotTaken("somebody answered who is no stream".to_owned()))
        }
    }
}

async fn in_time<T>(wait: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(done) => done,
        Err(_elapsed) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

/// How long a server may take to connect, and a stream to acknowledge.
const PATIENCE: Duration = Duration::from_secs(30);
/// Servers look after two minutes whether a client is there.
const LONGEST_REST: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compiled(settings: Value) -> Result<JetStream, Vec<Finding>> {
        JetStream::compile(&serde_json::from_value(settings).unwrap(), &Pointer::default())
    }

    #[test]
    fn mistakes_are_findings() {
        for (settings, expected) in [
            (json!({ "servers": ["nats"], "subject": "a" }), "/servers/0: `nats` is no host with a port"),
            (json!({ "servers": ["a:1"], "subject": "a.>" }), "/subject: is no subject to publish to"),
            (json!({ "servers": ["a:1"], "subject": "a..b" }), "/subject: is no subject to publish to"),
            (json!({ "servers": ["a:1"], "subject": "a b" }), "/subject: is no subject to publish to"),
            (json!({ "servers": ["a:1"], "subject": "a", "stream": "a.b" }), "/stream: is no name of a stream"),
            (
                json!({ "servers": ["a:1"], "subject": "a", "login": { "nkey": "S" } }),
                "/login/nkey: is no seed of a user's key",
            ),
        ] {
            let found = compiled(settings).err().unwrap();
            assert!(found[0].to_string().contains(expected), "{}", found[0]);
        }
        assert!(compiled(json!({ "servers": ["a:1", "[::1]:4222"], "subject": "a.b", "stream": "A" })).is_ok());
    }

    #[test]
    fn only_a_stream_acknowledges() {
        let message = |status, payload: &'static str| Message { status, payload: payload.into(), ..Message::default() };
        for taken in [r#"{"stream":"USAGE","seq":1}"#, r#"{"stream":"USAGE","seq":1,"duplicate":true}"#] {
            assert!(acknowledged(&message(None, taken), "a").is_ok());
        }
        for (answer, why) in [
            (message(Some(503), ""), "no stream takes the subject `a`"),
            (message(None, r#"{"error":{"code":503,"description":"maximum messages exceeded"}}"#), "maximum messages"),
            (message(None, "thanks"), "somebody answered who is no stream"),
            (message(None, "{}"), "somebody answered who is no stream"),
        ] {
            let told = acknowledged(&answer, "a").unwrap_err().to_string();
            assert!(told.contains(why), "{told}");
        }
    }
}
