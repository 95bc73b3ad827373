//! What a client says.

use serde_json::{Map, Value};

/// Who a client says it is.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// Nobody in particular.
    Anyone,
    /// A user and a password.
    User(&'a str, &'a str),
    /// A token.
    Token(&'a str),
    /// A key, by its public half and the nonce of the server signed with it.
    Key {
        /// The public half.
        public: &'a str,
        /// The signature, in base64 for URLs.
        signature: &'a str,
    },
}

/// The first thing that a client says. Servers are to tell it when nobody answers, and not to say `+OK`.
pub fn connect(said: &mut Vec<u8>, identity: Identity<'_>, name: &str, version: &str) {
    let mut options = Map::new();
    let mut set = |name: &str, value: Value| drop(options.insert(name.to_owned(), value));
    for (name, value) in [("verbose", false), ("pedantic", false), ("headers", true), ("no_responders", true)] {
        set(name, value.into());
    }
    for (name, value) in [("name", name), ("lang", "rust"), ("version", version)] {
        set(name, value.into());
    }
    set("protocol", 1.into());
    match identity {
        Identity::Anyone => {}
        Identity::User(user, password) => {
            set("user", user.into());
            set("pass", password.into());
        }
        Identity::Token(token) => set("auth_token", token.into()),
        Identity::Key { public, signature } => {
            set("nkey", public.into());
            set("sig", signature.into());
        }
    }
    say(said, &["CONNECT ", &Value::Object(options).to_string(), "\r\n"]);
}

/// Has messages for a subject sent to this client.
pub fn subscribe(said: &mut Vec<u8>, subject: &str, id: u32) {
    say(said, &["SUB ", subject, " ", &id.to_string(), "\r\n"]);
}

/// Publishes a message with headers, to be acknowledged at `reply`.
pub fn publish(said: &mut Vec<u8>, subject: &str, reply: &str, headers: &[(&str, &str)], payload: &[u8]) {
    let mut head = "NATS/1.0\r\n".to_owned();
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    let (size, total) = (head.len().to_string(), (head.len() + payload.len()).to_string());
    say(said, &["HPUB ", subject, " ", reply, " ", &size, " ", &total, "\r\n", &head]);
    said.extend_from_slice(payload);
    say(said, &["\r\n"]);
}

/// Asks whether the server is there and has taken what was said.
pub fn ping(said: &mut Vec<u8>) {
    say(said, &["PING\r\n"]);
}

/// Tells the server that this client is there.
pub fn pong(said: &mut Vec<u8>) {
    say(said, &["PONG\r\n"]);
}

fn say(said: &mut Vec<u8>, words: &[&str]) {
    for word in words {
        said.extend_from_slice(word.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_what_servers_understand() {
        let mut said = Vec::new();
        connect(&mut said, Identity::User("me", "se\"cret"), "gateway", "1");
        subscribe(&mut said, "_INBOX.a.*", 1);
        publish(&mut said, "usage", "_INBOX.a.1", &[("Nats-Msg-Id", "7")], b"{}");
        ping(&mut said);
        pong(&mut said);

        let expected = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"name\":\"gateway\",\
            \"lang\":\"rust\",\"version\":\"1\",\"protocol\":1,\"user\":\"me\",\"pass\":\"se\\\"cret\"}\r\n\
            SUB _INBOX.a.* 1\r\nHPUB usage _INBOX.a.1 28 30\r\nNATS/1.0\r\nNats-Msg-Id: 7\r\n\r\n{}\r\nPING\r\nPONG\r\n";
        assert_eq!(String::from_utf8(said).unwrap(), expected);
    }
}
