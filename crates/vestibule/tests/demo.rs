//! The demo as somebody tries it who follows what it prints.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail like one")]

mod browser;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use self::browser::browsing;

/// A demo that runs, and what it has printed so far.
struct Demo {
    process: Child,
    out: BufReader<ChildStdout>,
    printed: String,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .arg("demo")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut printed = String::new();
        while !printed.ends_with("Ctrl-C stops it.\n") {
            assert_ne!(out.read_line(&mut printed).unwrap(), 0, "it ends after: {printed}");
        }
        Self { process, out, printed }
    }

    /// What comes out of each of the lines that are to be pasted.
    fn tried(&self) -> Vec<String> {
        let lines = self.printed.lines().map(str::trim).filter(|line| line.starts_with("curl "));
        let run = |line| String::from_utf8(Command::new("sh").args(["-c", line]).output().unwrap().stdout).unwrap();
        lines.map(run).collect()
    }

    /// What follows a word in what was printed.
    fn after(&self, word: &str) -> &str {
        self.printed.split_once(word).unwrap().1.split_whitespace().next().unwrap()
    }

    /// Presses Ctrl-C. Returns the exit code, and what was printed then, on both outputs.
    fn interrupt(mut self) -> (Option<i32>, String, String) {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.process.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.process.wait().unwrap().code(), out, err)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        drop(self.process.kill());
    }
}

#[test]
fn what_the_demo_prints_works_when_it_is_pasted() {
    let demo = Demo::start(&["--port", "0", "--admin-port", "0"]);
    let [allowed, refused, many, usage] = demo.tried().try_into().unwrap();

    assert!(allowed.starts_with("HTTP/1.1 200 OK\r\n") && allowed.contains("\"id\":\"7\""), "{allowed}");
    assert!(refused.starts_with("HTTP/1.1 401 ") && refused.contains("application/problem+json"), "{refused}");
    assert!(many.starts_with("200 ") && many.contains("429 ") && many.split_whitespace().count() == 22, "{many}");
    let usage: Value = serde_json::from_str(&usage).unwrap();
    // One that was allowed, one without a key, and twenty-two.
    assert_eq!(usage["total"]["requests"], 24, "{usage}");
    let of_partner = usage["items"].as_array().unwrap().iter().filter(|item| item["company"] == "acme");
    assert_eq!(of_partner.map(|item| item["requests"].as_u64().unwrap()).sum::<u64>(), 23, "{usage}");
}

#[test]
fn a_visitor_waits_and_an_operator_lets_them_in_with_chromium() {
    let demo = Demo::start(&["--port", "0", "--admin-port", "0"]);
    let port = demo.after("http://localhost:").trim_end_matches('/');
    let admin = demo.after("Its admin listener:").trim_end_matches('/');
    let link = demo.printed.split_whitespace().find_map(|word| word.strip_prefix(admin)?.strip_prefix("/console/"));
    let token = demo.printed.split_once("$(cat ").unwrap().1.split_once(')').unwrap().0;
    let token = std::fs::read_to_string(token).unwrap();
    let (shop, link) = (format!("http://localhost:{port}/shop"), format!("/console/{}", link.unwrap()));
    browsing(include_str!("browser/journey.mjs"), &[&shop, admin, token.trim(), &link]).succeeds();
}

#[test]
fn a_browser_gets_a_page() {
    let demo = Demo::start(&["--port", "0", "--admin-port", "0"]);
    let port = demo.after("http://localhost:").trim_end_matches('/').to_owned();
    let page = Command::new("curl").args(["-si", &format!("http://localhost:{port}/")]).output().unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("<h1>It works</h1>"), "{page}");
}

#[test]
fn ctrl_c_ends_the_demo_and_leaves_nothing_behind() {
    let demo = Demo::start(&["--port", "0", "--admin-port", "0"]);
    let document = demo.after("configuration:").to_owned();
    let folder = Path::new(&document).parent().unwrap();
    assert!(folder.exists());
    let key = demo.after("never again:").to_owned();
    assert!(key.starts_with("vk_live_"), "{key}");

    let (code, out, err) = demo.interrupt();

    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, format!("\nStopped, and {} is removed.\n", folder.display()));
    assert!(!folder.exists());
}

#[test]
fn a_port_that_is_taken_is_refused_with_its_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["demo", "--port", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("vestibule: port {port} cannot be listened on: Address already in use (os error 98)\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}
