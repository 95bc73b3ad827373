//! The real program while it is reloaded, upgraded, killed or short of descriptors, under requests.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "what helps a test may fail like one, and looks at the clock"
)]

mod browser;
mod contract;
mod given;
mod pages;
mod room_cluster;
mod room_events;
mod sessions;
mod told;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use given::{Backend, Client, Running};

/// Sends requests until it is told to stop; returns how many were answered, and what went wrong.
fn load(
    running: &Running,
    stop: &Arc<AtomicBool>,
    done: &Arc<AtomicU64>,
    keep_alive: bool,
) -> thread::JoinHandle<Vec<String>> {
    let (address, stop, done) = (running.address, stop.clone(), done.clone());
    thread::spawn(move || {
        let mut failures = Vec::new();
        let mut client = Client::new(address, keep_alive);
        while !stop.load(Ordering::Relaxed) {
            match client.get("/orders/7") {
                Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => done.fetch_add(1, Ordering::Relaxed),
                Ok(answer) => {
                    failures.push(answer);
                    0
                }
                Err(error) => {
                    failures.push(error.to_string());
                    0
                }
            };
        }
        failures
    })
}

#[test]
fn no_request_fails_while_the_gateway_is_reloaded_and_upgraded() {
    let backend = Backend::start();
    let mut running = Running::before(&backend);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let loads: Vec<_> = [true, true, true, false].map(|keep_alive| load(&running, &stop, &done, keep_alive)).into();

    for _ in 0..3 {
        for workers in 0..3 {
            given::wait_for_requests(&done, 50);
            running.reload(workers);
        }
        given::wait_for_requests(&done, 50);
        let said = running.upgrade();
        assert!(said.contains(" serves; process "), "{said}");
    }
    given::wait_for_requests(&done, 50);
    stop.store(true, Ordering::Relaxed);

    let failures: Vec<_> = loads.into_iter().flat_map(|load| load.join().unwrap()).collect();
    assert_eq!(failures, Vec::<String>::new(), "beside {} that were answered", done.load(Ordering::Relaxed));
    running.stop();
}

#[test]
fn a_slow_answer_that_began_before_an_upgrade_comes_whole() {
    let backend = Backend::start();
    let mut running = Running::before(&backend);
    let address = running.address;
    let slow = thread::spawn(move || Client::new(address, true).get("/slow"));
    backend.wait_for_slow();

    running.upgrade();
    backend.let_slow_go();

    let answer = slow.join().unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("slow"), "{answer}");
    running.stop();
}

#[test]
fn a_successor_with_fewer_workers_leaves_no_connection_waiting() {
    let backend = Backend::start();
    let mut running = Running::before(&backend);

    running.change("workers: 2", "workers: 1");
    running.upgrade();

    for _ in 0..40 {
        assert!(Client::new(running.address, false).get("/orders/7").unwrap().starts_with("HTTP/1.1 200 "));
    }
    running.stop();
}

#[test]
fn a_port_that_another_gateway_has_is_refused() {
    let backend = Backend::start();
    let running = Running::before(&backend);

    running.change("public: {bind: \"127.0.0.1:0\"}", &format!("public: {{bind: \"{}\"}}", running.address));
    let said = running.run_again();

    let expected = format!(
        "vestibule.yaml:2:28: /listeners/public/bind: {} cannot be listened on: Address already in use (os error 98)\n\
         1 finding\n",
        running.address
    );
    assert_eq!(said, (Some(1), expected));
    running.stop();
}

#[test]
fn a_successor_that_cannot_serve_changes_nothing() {
    let backend = Backend::start();
    let mut running = Running::before(&backend);

    running.change("upstream: orders", "upstream: ordres");
    let said = running.upgrade();

    assert!(said.contains("ended without serving"), "{said}");
    let finding = "vestibule.yaml:7:45: /apis/orders/upstream: there is no upstream `ordres`; did you mean `orders`?";
    running.wait_for(finding);
    assert!(Client::new(running.address, false).get("/orders/7").unwrap().starts_with("HTTP/1.1 200 "));
    running.stop();
}

/// Whether `/healthz` of the admin listener is answered with a certificate that this file vouches for.
fn is_trusted(running: &Running, authority: &str) -> bool {
    let port = running.admin.rsplit(':').next().unwrap();
    let asked = Command::new("curl")
        .args(["-sS", "--resolve", &format!("admin.example:{port}:127.0.0.1"), "--cacert", authority])
        .arg(format!("https://admin.example:{port}/healthz"))
        .current_dir(running.folder())
        .output();
    asked.unwrap().status.success()
}

#[test]
fn a_changed_certificate_of_the_admin_listener_is_taken_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let write = |folder: &Path, name: &str| {
        let made = rcgen::generate_simple_self_signed(["admin.example".to_owned()]).unwrap();
        fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
        fs::write(folder.join("admin.key"), made.signing_key.serialize_pem()).unwrap();
        fs::write(folder.join("admin.crt"), made.cert.pem()).unwrap();
    };
    write(folder.path(), "first");
    let document = "version: 1\nlisteners: {public: {bind: \"127.0.0.1:0\"}}\nadmin: {bind: \"127.0.0.1:0\", tls: \
                    {certificates: [{cert: admin.crt, key: admin.key}]}}\nstore: {embedded: data}\nworkers: 1\n\
                    diagnostics: {format: json}\n";
    let running = Running::serving(folder, document.to_owned());
    assert!(is_trusted(&running, "first.pem"));

    write(running.folder(), "second");

    let mut looks = (0..3000).map(|_| is_trusted(&running, "second.pem"));
    assert!(looks.any(|is_trusted| is_trusted), "the new certificate is never shown");
    running.stop();
}

#[test]
fn a_document_is_compared_with_what_the_gateway_serves() {
    let backend = Backend::start();
    let mut running = Running::before(&backend);
    assert_eq!(running.command(&["diff", "--running", "vestibule.yaml"]), "no differences\n");

    running.reload(2);
    let said = running.command(&["diff", "--running", "first.yaml"]);

    assert_eq!(said, "- /limits/body_bytes: \"3MiB\"\n");
    running.stop();
}

#[test]
fn without_descriptors_only_what_needs_one_fails_or_waits() {
    let backend = Backend::start();
    let mut running = Running::before(&backend);
    running.change("workers: 2", "workers: 1");
    running.upgrade();
    let address = running.address;
    let (mut first, mut second) = (Client::new(address, true), Client::new(address, true));
    assert!(first.get("/a").unwrap().starts_with("HTTP/1.1 200 "));
    assert!(second.get("/b").unwrap().starts_with("HTTP/1.1 200 "));

    running.limit_descriptors(0);
    let slow = thread::spawn(move || first.get("/slow"));
    backend.wait_for_slow();
    let refused = second.get("/b").unwrap();
    let waiting = thread::spawn(move || Client::new(address, true).get("/c"));
    backend.let_slow_go();

    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("proxy-status: vestibule; error=proxy_internal_error"), "{refused}");
    assert!(slow.join().unwrap().unwrap().ends_with("slow"));
    for _ in 0..20 {
        let answer = second.get("/b").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "the circuit stays closed: {answer}");
    }
    running.limit_descriptors(1024);
    assert!(waiting.join().unwrap().unwrap().starts_with("HTTP/1.1 200 "));
    running.stop();
}
