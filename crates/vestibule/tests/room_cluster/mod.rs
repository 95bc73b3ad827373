//! The real program twice, with a waiting room in one Redis, and one of the two killed in the rush.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use servers::{Postgres, Redis};

use crate::given::{Running, wait_for_requests};

/// Asks on a connection, and reads the answer's body.
pub(crate) struct Line(BufReader<TcpStream>);

impl Line {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self(BufReader::new(stream))
    }

    fn ask(&mut self, request: &str) -> std::io::Result<Value> {
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut length = None;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(crate) fn join(&mut self) -> std::io::Result<Option<String>> {
        let body = "{\"event_id\":\"Sample\"}";
        let head = format!("POST /wait/assign_queue_num HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        let joined = self.ask(&(head + body))?;
        Ok(joined.get("api_request_id").and_then(Value::as_str).map(str::to_owned))
    }

    pub(crate) fn place(&mut self, id: &str) -> std::io::Result<Option<u64>> {
        let path = format!("/wait/queue_num?event_id=Sample&request_id={id}");
        let answer = self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))?;
        Ok(answer.get("queue_number").and_then(Value::as_u64))
    }
}

/// Visitors who join a node one after the other, until it dies or they are told to go.
fn visitors(
    node: &Running,
    known: &Arc<Mutex<HashMap<String, Option<u64>>>>,
    joined: &Arc<AtomicU64>,
    is_over: &Arc<AtomicBool>,
) -> Vec<thread::JoinHandle<u64>> {
    let visitor = |_| {
        let (address, known, joined, is_over) = (node.address, known.clone(), joined.clone(), is_over.clone());
        thread::spawn(move || {
            let (mut line, mut cut) = (Line::open(address), 0);
            while !is_over.load(Ordering::Relaxed) {
                let Ok(told) = line.join() else { return cut + 1 };
                let Some(id) = told else {
                    // It is told to come again.
                    cut += 1;
                    continue;
                };
                known.lock().insert(id.clone(), None);
                joined.fetch_add(1, Ordering::Relaxed);
                let Ok(place) = line.place(&id) else { return cut };
                known.lock().insert(id, Some(place.unwrap()));
            }
            cut
        })
    };
    (0..8).map(visitor).collect()
}

fn document(postgres: &str, redis: &str) -> String {
    format!(
        "version: 1\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\nadmin: {{bind: \"127.0.0.1:0\"}}\nworkers: 1\n\
         store: {{postgres: \"{postgres}\", redis: \"{redis}\", folder: ./data}}\n\
         encryption: {{master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}}\n\
         rooms: {{sale: {{event: Sample}}}}\ndiagnostics: {{format: json}}\n\
         apis: {{wait: {{match: {{path: /wait}}, policies: [{{waiting-room-api: {{room: sale}}}}]}}}}\n"
    )
}

#[test]
fn a_node_that_is_killed_in_the_rush_takes_no_place_with_it_and_the_other_goes_on() {
    let (database, redis) = (Postgres::shared().database(), Redis::start());
    redis.set("appendfsync", "always");
    let document = document(&database.address(), &redis.address());
    let node = || Running::serving(tempfile::tempdir().unwrap(), document.clone());
    let mut nodes = [Some(node()), Some(node())];
    let known = Arc::default();
    let mut cut = 0;
    for dying in [0, 1, 0] {
        let (joined, is_over) = ([(); 2].map(|()| Arc::new(AtomicU64::new(0))), Arc::new(AtomicBool::new(false)));
        let mut coming = Vec::new();
        for (node, joined) in nodes.iter().zip(&joined) {
            coming.extend(visitors(node.as_ref().unwrap(), &known, joined, &is_over));
        }
        wait_for_requests(&joined[dying], 100);
        // Dropped, it is killed.
        nodes[dying] = None;
        wait_for_requests(&joined[1 - dying], 200);
        is_over.store(true, Ordering::Relaxed);
        cut += coming.into_iter().map(|visitor| visitor.join().unwrap()).sum::<u64>();
        nodes[dying] = Some(node());
    }

    let known = known.lock();
    let mut places = BTreeSet::new();
    for node in nodes.iter().flatten() {
        let mut line = Line::open(node.address);
        for (id, told) in &*known {
            let place = line.place(id).unwrap().unwrap_or_else(|| panic!("{id} is lost"));
            assert!(told.is_none_or(|told| told == place), "{id} had {told:?}, and has {place}");
            places.insert(place);
        }
    }
    assert_eq!(places.len(), known.len(), "each has a place of their own");
    let mut line = Line::open(nodes[0].as_ref().unwrap().address);
    let queue = line.ask("GET /wait/waiting_num?event_id=Sample HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let queue = queue["waiting_num"].as_u64().unwrap();
    let untold = queue - u64::try_from(known.len()).unwrap();
    assert!(untold <= cut, "{queue} places, {} told, {cut} cut", known.len());
    assert!(*places.last().unwrap() <= queue);
}
