//! What tests of the real program begin with: a backend, a program that runs, and a client.

#![expect(clippy::indexing_slicing, reason = "what helps a test may fail like one")]
#![expect(clippy::disallowed_methods, reason = "another process does not wait for a paused clock")]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A backend that answers every request with its path; `/slow` when it is told to.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    asked: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

impl Backend {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ((ask, asked), (go, wait)) = (mpsc::channel(), mpsc::channel());
        let wait = Arc::new(parking_lot::Mutex::new(wait));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (ask, wait) = (ask.clone(), wait.clone());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Ok(head) = head(&mut reader) {
                        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                        let body = if path == "/slow" {
                            ask.send(()).unwrap();
                            wait.lock().recv_timeout(PATIENCE).unwrap();
                            "slow".to_owned()
                        } else {
                            path
                        };
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                        if (&stream).write_all(answer.as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, asked, go }
    }

    pub(crate) fn wait_for_slow(&self) {
        self.asked.recv_timeout(PATIENCE).unwrap();
    }

    pub(crate) fn let_slow_go(&self) {
        self.go.send(()).unwrap();
    }
}

/// A client with one connection, or one for each request.
pub(crate) struct Client {
    address: SocketAddr,
    keep_alive: bool,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, keep_alive: bool) -> Self {
        Self { address, keep_alive, connection: None }
    }

    /// The answer, head and body.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<String> {
        let mut connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            BufReader::new(stream)
        };
        let close = if self.keep_alive { "" } else { "Connection: close\r\n" };
        connection.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n").as_bytes())?;
        let head = head(&mut connection)?;
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (known, value) = line.split_once(": ")?;
                known.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let mut body = vec![0; field("content-length").unwrap_or_default().parse().unwrap_or_default()];
        connection.read_exact(&mut body)?;
        if field("connection").as_deref() != Some("close") {
            self.connection = Some(connection);
        }
        Ok(head + "\r\n\r\n" + &String::from_utf8_lossy(&body))
    }
}

fn head(reader: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    loop {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::Error::other(format!("closed after `{head}`")));
        }
        if head == "\r\n" || head.ends_with("\r\n\r\n") {
            return Ok(head.trim_end().to_owned());
        }
    }
}

/// Waits until so many more requests were answered.
pub(crate) fn wait_for_requests(done: &AtomicU64, more: u64) {
    let (before, until) = (done.load(Ordering::Relaxed), Instant::now() + PATIENCE);
    while done.load(Ordering::Relaxed) < before + more {
        assert!(Instant::now() < until, "requests are not answered any more");
        thread::yield_now();
    }
}

/// The program, running a document; and after an upgrade, its successor.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: String,
    folder: tempfile::TempDir,
    document: String,
    environment: Vec<(String, String)>,
    process: u64,
    log: mpsc::Receiver<Value>,
    first: Child,
}

impl Running {
    /// With a backend behind it, a store and an admin listener.
    pub(crate) fn before(backend: &Backend) -> Self {
        let document = format!(
            "version: 1\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\nadmin: {{bind: \"127.0.0.1:0\"}}\n\
             store: {{embedded: data}}\nworkers: 2\nupstreams: {{orders: {{targets: [\"http://{}\"]}}}}\n\
             apis: {{orders: {{match: {{path: /}}, upstream: orders}}}}\ndiagnostics: {{format: json}}\n",
            backend.address
        );
        Self::serving(tempfile::tempdir().unwrap(), document)
    }

    /// With a document that has an admin listener, and logs as JSON. What it refers to is in the folder.
    pub(crate) fn serving(folder: tempfile::TempDir, document: String) -> Self {
        Self::in_environment(folder, document, Vec::new())
    }

    /// As [`Self::serving`], with more in the environment.
    pub(crate) fn in_environment(
        folder: tempfile::TempDir,
        document: String,
        environment: Vec<(String, String)>,
    ) -> Self {
        fs::write(folder.path().join("vestibule.yaml"), &document).unwrap();
        // What it began with, whatever becomes of the other.
        fs::write(folder.path().join("first.yaml"), &document).unwrap();
        let mut first = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["run", "vestibule.yaml"])
            .current_dir(folder.path())
            .envs(environment.iter().cloned())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, log) = mpsc::channel();
        let lines = BufReader::new(first.stderr.take().unwrap()).lines();
        // A successor writes to the same pipe, which ends with the last of them.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if tell.send(event).is_err() {
                    break;
                }
            }
        });
        let process = u64::from(first.id());
        let (address, admin) = (([0, 0, 0, 0], 0).into(), String::new());
        let mut running = Self { address, admin, folder, document, environment, process, log, first };
        running.address = running.wait_for("listening")["address"].as_str().unwrap().parse().unwrap();
        running.wait_for("the admin listener is open")["address"].as_str().unwrap().clone_into(&mut running.admin);
        running
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for an event in the log.
    pub(crate) fn wait_for(&self, message: &str) -> Value {
        let mut seen = Vec::new();
        let until = Instant::now() + PATIENCE;
        while let Ok(event) = self.log.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if event.to_string().contains(&format!("\"{message}\"")) {
                return event.get("fields").cloned().unwrap_or(event);
            }
            seen.push(event.to_string());
        }
        panic!("`{message}` does not come; what came is:\n{}", seen.join("\n"));
    }

    /// Changes a limit, and has the document read again.
    pub(crate) fn reload(&mut self, number: u32) {
        let document = format!("{}limits: {{body_bytes: {}MiB}}\n", self.document, number + 1);
        fs::write(self.folder.path().join("vestibule.yaml"), document).unwrap();
        self.signal(rustix::process::Signal::HUP);
        self.wait_for("a new configuration serves");
    }

    /// Writes the document with something else in it. What looks at the file takes it up in a while.
    pub(crate) fn change(&self, from: &str, to: &str) {
        assert!(self.document.contains(from));
        fs::write(self.folder.path().join("vestibule.yaml"), self.document.replace(from, to)).unwrap();
    }

    /// Runs a command of this program beside the document, with the admin listener's address; returns what it says.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(arguments)
            .args(["--url", &format!("http://{}", self.admin)])
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat()
    }

    /// Runs the document a second time, in a process that is expected to end; returns its exit code and what it says.
    pub(crate) fn run_again(&self) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["run", "vestibule.yaml"])
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// Runs `vestibule upgrade`, and returns what it says.
    pub(crate) fn upgrade(&mut self) -> String {
        let said = self.command(&["upgrade"]);
        if let Some(process) = said.strip_prefix("process ").and_then(|rest| rest.split_once(" serves;")) {
            self.process = process.0.parse().unwrap();
        }
        said
    }

    /// Says how many descriptors the process may have; what it has already, it keeps.
    pub(crate) fn limit_descriptors(&self, most: u64) {
        use rustix::process::{Resource, Rlimit, prlimit};
        let limit = Rlimit { current: Some(most), maximum: Some(1024.max(most)) };
        prlimit(Some(self.pid()), Resource::Nofile, limit).unwrap();
    }

    /// Ends the process that serves, and waits until all are gone.
    pub(crate) fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        let until = Instant::now() + PATIENCE;
        while self.log.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        assert!(Instant::now() < until, "a process does not end");
        assert!(self.first.wait().unwrap().success());
        self.process = 0;
    }

    /// Kills the process as if the power went, and starts another one in the same folder.
    pub(crate) fn killed_and_started_again(mut self) -> Self {
        self.signal(rustix::process::Signal::KILL);
        self.first.wait().unwrap();
        self.process = 0;
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let (document, environment) = (std::mem::take(&mut self.document), std::mem::take(&mut self.environment));
        Self::in_environment(folder, document, environment)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(i32::try_from(self.process).unwrap()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.process != 0 {
            self.signal(rustix::process::Signal::KILL);
            drop(self.first.kill());
        }
    }
}
