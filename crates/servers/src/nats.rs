//! NATS, with `JetStream`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Process, program, started};

/// A server.
pub struct Nats {
    port: u16,
    configuration: String,
    process: Option<Process>,
    folder: TempDir,
}

/// What is in a stream.
#[derive(Debug)]
pub struct Stored {
    /// Headers, a line each.
    pub headers: String,
    /// The message itself.
    pub payload: String,
}

impl Nats {
    /// A server that lets anybody in.
    pub fn start() -> Self {
        Self::with("")
    }

    /// A server with this in its configuration.
    pub fn with(configuration: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("nats-").tempdir().unwrap();
        let (port, process) = started("NATS", |port| serve(&folder, port, configuration));
        Self { port, configuration: configuration.to_owned(), process: Some(process), folder }
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops it, which ends all connections. What streams have stays.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again, where it was.
    pub fn start_again(&mut self) {
        self.process = Some(serve(&self.folder, self.port, &self.configuration).expect("it starts again"));
    }

    /// Starts it again with another configuration.
    pub fn start_again_with(&mut self, configuration: &str) {
        configuration.clone_into(&mut self.configuration);
        self.stop();
        self.start_again();
    }

    /// Makes a stream by these settings, in JSON, without its name. `login` is what a client says of itself, in JSON.
    pub fn make_stream(&self, login: &str, name: &str, settings: &str) {
        self.manage(login, "CREATE", name, settings);
    }

    /// Gives a stream other settings.
    pub fn change_stream(&self, login: &str, name: &str, settings: &str) {
        self.manage(login, "UPDATE", name, settings);
    }

    fn manage(&self, login: &str, how: &str, name: &str, settings: &str) {
        let settings = format!("{{\"name\":\"{name}\",\"allow_direct\":true,{settings}}}");
        let answer = self.ask(login, &format!("$JS.API.STREAM.{how}.{name}"), &settings);
        assert!(!answer.payload.contains("\"error\""), "{}", answer.payload);
    }

    /// Everything in a stream.
    pub fn stored(&self, login: &str, stream: &str) -> Vec<Stored> {
        let message = |number| {
            let stored = self.ask(login, &format!("$JS.API.DIRECT.GET.{stream}"), &format!("{{\"seq\":{number}}}"));
            (!stored.headers.starts_with("NATS/1.0 404")).then_some(stored)
        };
        (1..).map_while(message).collect()
    }

    /// Asks as any client would, and waits for the answer.
    fn ask(&self, login: &str, subject: &str, question: &str) -> Stored {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let said = format!(
            "CONNECT {login}\r\nSUB answer 1\r\nPUB {subject} answer {}\r\n{question}\r\nPING\r\n",
            question.len()
        );
        (&socket).write_all(said.as_bytes()).unwrap();
        let (mut reader, mut line) = (BufReader::new(socket), String::new());
        loop {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the server ended the connection");
            assert!(!line.starts_with("-ERR"), "{line}");
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let size = |index: usize| words.get(words.len() - index).unwrap().parse::<usize>().unwrap();
            let (head, total) = match words.first() {
                Some(&"MSG") => (0, size(1)),
                Some(&"HMSG") => (size(2), size(1)),
                _ => continue,
            };
            let mut message = vec![0; total];
            reader.read_exact(&mut message).unwrap();
            let (headers, payload) = message.split_at(head);
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            return Stored { headers: text(headers), payload: text(payload) };
        }
    }
}

fn serve(folder: &TempDir, port: u16, configuration: &str) -> Option<Process> {
    let store = folder.path().join("store");
    let own = format!("host: 127.0.0.1\nport: {port}\njetstream {{store_dir: \"{}\"}}\n", store.display());
    let file = folder.path().join("nats.conf");
    fs::write(&file, own + configuration).unwrap();
    let program = program("nats-server", &["/usr/sbin".into()]).expect(MISSING);
    Process::listening(&program, &["-c", &file.display().to_string()], &folder.path().join("log"), port)
}

const MISSING: &str = "NATS is not installed: apt-get install nats-server";
const PATIENCE: Duration = Duration::from_secs(30);
