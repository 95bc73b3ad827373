//! Endpoints that are told of changes by a program that is killed meanwhile.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;

use crate::given::Running;

/// An event that came: its id, what it is about, and whether it was taken.
#[derive(Clone, Debug)]
struct Came {
    id: String,
    about: String,
    taken: bool,
}

/// An endpoint. While it holds its tongue, it reads what comes and never answers.
struct Portal {
    address: SocketAddr,
    holds: Arc<AtomicBool>,
    came: Arc<Mutex<Vec<Came>>>,
    comes: mpsc::Receiver<()>,
}

impl Portal {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (holds, came, (tell, comes)) = (Arc::new(AtomicBool::new(false)), Arc::default(), mpsc::channel());
        let (held, seen): (_, Arc<Mutex<Vec<Came>>>) = (holds.clone(), Arc::clone(&came));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (held, seen, tell) = (held.clone(), seen.clone(), tell.clone());
                thread::spawn(move || serve(stream, &held, &seen, &tell));
            }
        });
        Self { address, holds, came, comes }
    }

    /// Waits until something has come that was not waited for before.
    fn wait(&self) {
        self.comes.recv_timeout(PATIENCE).unwrap();
    }

    fn came(&self) -> Vec<Came> {
        self.came.lock().clone()
    }
}

/// Reads events and answers them, on one connection.
fn serve(stream: TcpStream, holds: &AtomicBool, came: &Mutex<Vec<Came>>, tell: &mpsc::Sender<()>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut id, mut length, mut line) = (String::new(), 0, String::new());
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let (name, value) = line.split_once(": ").unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "webhook-id" => value.trim().clone_into(&mut id),
                "content-length" => length = value.trim().parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let event: Value = serde_json::from_slice(&body).unwrap();
        let about = event.pointer("/data/id").and_then(Value::as_str).unwrap().to_owned();
        let taken = !holds.load(Ordering::SeqCst);
        came.lock().push(Came { id, about, taken });
        tell.send(()).ok();
        if taken && reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
            return;
        }
    }
}

#[test]
fn what_changed_is_told_by_a_program_that_is_killed_while_it_tells() {
    let portal = Portal::open();
    let document = "version: 1\nlisteners: {public: {bind: \"127.0.0.1:0\"}}\nadmin: {bind: \"127.0.0.1:0\"}\n\
                    store: {embedded: data}\nworkers: 1\nwebhooks: {allow: [127.0.0.0/8], http: accepted}\n\
                    diagnostics: {format: json}\n";
    let running = Running::serving(tempfile::tempdir().unwrap(), document.to_owned());
    let url = format!("http://{}/hooks", portal.address);
    let said = running.command(&["admin", "webhook", "create", "portal", &url, "--kind", "company.created"]);
    assert!(said.contains("portal"), "{said}");
    let create = |running: &Running, names: &[&str]| {
        for name in names {
            let said = running.command(&["admin", "company", "create", name]);
            assert!(said.contains(name), "{said}");
        }
    };

    create(&running, &["first"]);
    portal.wait();
    // It has read the second one when the program is killed, and the program knows nothing of that; others wait.
    portal.holds.store(true, Ordering::SeqCst);
    create(&running, &["second", "third", "fourth"]);
    portal.wait();
    let running = running.killed_and_started_again();
    portal.holds.store(false, Ordering::SeqCst);
    create(&running, &["fifth"]);
    while portal.came().iter().filter(|came| came.taken).count() < 5 {
        portal.wait();
    }

    let came = portal.came();
    let taken: Vec<_> = came.iter().filter(|came| came.taken).map(|came| came.about.as_str()).collect();
    assert_eq!(taken, ["first", "second", "third", "fourth", "fifth"], "in order, each once");
    let of = |about: &str| came.iter().filter(|came| came.about == about).map(|came| &came.id).collect::<Vec<_>>();
    assert_eq!(of("second").len(), 2, "{came:?}");
    assert_eq!(of("second")[0], of("second")[1], "{came:?}");
    running.stop();
}

/// Another process takes over when the one that was killed has held an endpoint for half a minute.
const PATIENCE: Duration = Duration::from_secs(90);
