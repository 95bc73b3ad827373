//! The real program, killed while sessions are opened and ended.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::given::{self, Client, Running};

/// How many sessions there may be.
const MOST: usize = 5;

/// A backend with sessions: `/login`, `/logout?sid=`, and anything else within one.
#[derive(Default)]
struct Crm {
    opened: AtomicU64,
    open: Mutex<BTreeSet<String>>,
    most: Mutex<usize>,
}

impl Crm {
    fn start() -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, crm) = (listener.local_addr().unwrap(), Arc::new(Self::default()));
        let served = crm.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let crm = served.clone();
                // Whoever is killed leaves a connection that ends in the middle.
                thread::spawn(move || crm.serve(stream.unwrap()));
            }
        });
        (crm, address)
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        loop {
            let line = lines.next()?.ok()?;
            while !lines.next()?.ok()?.is_empty() {}
            let answer = self.answer(line.split(' ').nth(1)?);
            let head = format!("HTTP/1.1 200 OK\r\nX-Session: {answer}\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all((head + &answer).as_bytes()).ok()?;
        }
    }

    fn answer(&self, target: &str) -> String {
        let (path, session) = target.split_once("?sid=").unwrap_or((target, ""));
        let mut open = self.open.lock();
        match path {
            "/login" => {
                let session = format!("s{}", self.opened.fetch_add(1, Ordering::SeqCst));
                open.insert(session.clone());
                let mut most = self.most.lock();
                *most = open.len().max(*most);
                session
            }
            "/logout" => {
                open.remove(session);
                "gone".to_owned()
            }
            _ => if open.contains(session) { "here" } else { "not here" }.to_owned(),
        }
    }
}

/// What a client was answered: its status and body. Nothing if the connection ended.
fn ask(client: &mut Client, path: &str) -> Option<(u16, String)> {
    let answer = client.get(path).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Opens, uses and ends sessions until the gateway is gone; what was answered that should not have been.
fn come_and_go(address: SocketAddr, rounds: &AtomicU64) -> Vec<String> {
    let (mut client, mut wrong) = (Client::new(address, true), Vec::new());
    while let Some((status, session)) = ask(&mut client, "/login") {
        rounds.fetch_add(1, Ordering::SeqCst);
        if status == 429 {
            continue;
        }
        for path in ["/x", "/logout"] {
            match ask(&mut client, &format!("{path}?sid={session}")) {
                Some((200, _)) | None => {}
                Some(other) => wrong.push(format!("{path} of {session}: {other:?}")),
            }
        }
    }
    wrong
}

#[test]
fn no_session_is_lost_and_none_is_too_many_whenever_the_gateway_is_killed() {
    let (crm, backend) = Crm::start();
    let document = format!(
        "version: 1\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\nadmin: {{bind: \"127.0.0.1:0\"}}\n\
         store: {{embedded: data}}\nworkers: 2\nupstreams: {{crm: {{targets: [\"http://{backend}\"]}}}}\n\
         apis: {{crm: {{match: {{path: /}}, upstream: crm, policies: [{{sessions: {{id: [{{query: sid}}],\n  \
         open: [{{when: \"request.path == '/login'\", id: {{header: x-session}}}}],\n  \
         end: [{{when: \"request.path == '/logout'\"}}], maximum: {{all: {MOST}}}}}}}]}}}}\n\
         diagnostics: {{format: json}}\n"
    );
    let mut running = Running::serving(tempfile::tempdir().unwrap(), document);
    let (_, kept) = ask(&mut Client::new(running.address, false), "/login").unwrap();

    for _ in 0..3 {
        let rounds = Arc::new(AtomicU64::new(0));
        let (address, count) = (running.address, rounds.clone());
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let count = count.clone();
                thread::spawn(move || come_and_go(address, &count))
            })
            .collect();
        given::wait_for_requests(&rounds, 100);
        running = running.killed_and_started_again();
        for client in clients {
            assert_eq!(client.join().unwrap(), Vec::<String>::new());
        }
        let here = ask(&mut Client::new(running.address, false), &format!("/x?sid={kept}"));
        assert_eq!(here, Some((200, "here".to_owned())), "a session outlives its gateway");
    }

    assert!(*crm.most.lock() <= MOST, "{} sessions were open at once", crm.most.lock());
    let left = running.command(&["admin", "session", "list", "--json"]);
    let left: serde_json::Value = serde_json::from_str(&left).unwrap();
    let places = left["items"].as_array().unwrap().len();
    let open = crm.open.lock().len();
    assert!((open..=MOST).contains(&places), "{open} are open at the backend, {places} have a place");
    running.stop();
}
