//! Log records at real servers of their protocols.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use testkit::{Authority, Gateway, Stub, eventually};
use tokio::process::{Child, Command};

/// A `FluentServer` of the npm package `@fluent-org/logger`, which writes each entry as a line of JSON.
const FLUENT_SERVER: &str = r#"
const { FluentServer } = require("@fluent-org/logger");
const fs = require("fs");
const [port, key, out, cert, certKey] = process.argv.slice(2);
const options = { listenOptions: { port: Number(port), host: "127.0.0.1" } };
if (key !== "-") options.security = { serverHostname: "collector", sharedKey: key };
if (cert) options.tlsOptions = { cert: fs.readFileSync(cert), key: fs.readFileSync(certKey) };
class Writing extends FluentServer {
  onEntry(tag, time, record) { fs.appendFileSync(out, JSON.stringify({ tag, time, record }) + "\n"); }
}
new Writing(options).listen();
"#;

/// A port that is nobody's while this holds it, and that a server can still be given.
fn held_port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

fn fluent_server(folder: &Path, port: u16, key: &str, more: &[&str]) -> Child {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/npm/node_modules");
    assert!(modules.join("@fluent-org/logger").exists(), "`cargo xtask test` installs what this needs");
    std::fs::write(folder.join("server.js"), FLUENT_SERVER).unwrap();
    let mut command = Command::new("node");
    command.arg(folder.join("server.js")).args([&port.to_string(), key]).arg(folder.join("out")).args(more);
    command.env("NODE_PATH", modules).stdin(Stdio::null()).kill_on_drop(true).spawn().expect("node is installed")
}

/// What a server wrote, a JSON object a line.
fn written(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test]
async fn a_fluent_server_that_comes_late_gets_what_waited_after_both_proved_the_key() {
    let (backend, folder) = (Stub::saying("hello").await, TempDir::new().unwrap());
    let (held, port) = held_port();
    let sink = format!(
        "store: {{embedded: data}}\nlogs: [{{fluent: {{address: \"127.0.0.1:{port}\", tag: edge.access, \
         shared_key: \"k3y\", batch: {{every: 10ms}}}}}}]\n"
    );
    let gateway = Gateway::with(&backend, &sink).await;
    for number in 0..3 {
        assert_eq!(gateway.get(&format!("/{number}?token=s3cret")).await.status, 200);
    }

    drop(held);
    let _server = fluent_server(folder.path(), port, "k3y", &[]);

    let entries = || written(&folder.path().join("out"));
    eventually("three entries arrived", || entries().len() == 3).await;
    let entry = &entries()[0];
    assert_eq!(entry["tag"], "edge.access");
    assert_eq!((&entry["record"]["target"], &entry["record"]["status"]), (&"/0?token=***".into(), &200.into()));
    assert_eq!(entry["record"]["id"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn a_fluent_server_is_believed_by_its_certificate_and_refused_without_the_key() {
    let (backend, folder) = (Stub::saying("hello").await, TempDir::new().unwrap());
    let authority = Authority::default();
    let (certificate, key) = authority.sign(&["logs.example"]).write(folder.path(), "server");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let (held, port) = held_port();
    let sink = |key: &str| {
        format!(
            "store: {{embedded: data}}\nlogs: [{{fluent: {{address: \"127.0.0.1:{port}\", shared_key: {key}, compress: none, \
             batch: {{every: 10ms}}, tls: {{ca: \"{}\", server_name: logs.example}}}}}}]\n",
            folder.path().join("ca.pem").display()
        )
    };
    drop(held);
    let _server = fluent_server(folder.path(), port, "right", &[certificate.to_str().unwrap(), key.to_str().unwrap()]);
    let gateway = Gateway::with(&backend, &sink("wrong")).await;
    assert_eq!(gateway.get("/").await.status, 200);
    let failed = "vestibule_log_sink_failures_total{sink=\"fluent\"} ";
    let failures = || {
        let body = gateway.node().registry.render(None).body;
        body.lines().find_map(|line| line.strip_prefix(failed)?.parse::<u64>().ok()).unwrap_or_default()
    };
    eventually("it was refused", || failures() > 1).await;
    assert_eq!(written(&folder.path().join("out")).len(), 0);

    let upstream = format!("upstreams: {{backend: {{targets: [\"http://{}\"]}}}}\n", backend.address);
    let apis = "apis: {all: {match: {path: /}, upstream: backend}}\n";
    gateway.reload(&format!("{upstream}{apis}{}", sink("right"))).unwrap();

    eventually("it arrived", || written(&folder.path().join("out")).len() == 1).await;
}

/// An rsyslog that writes the messages of each input to a file of their own, with the fields of RFC 5424.
fn rsyslog(folder: &Path, port: u16) -> Child {
    let at = folder.display();
    let template =
        r#"template(name="all" type="string" string="%pri% %app-name% %hostname% %msgid% %msg:::drop-last-lf%\n")"#;
    let settings = format!(
        "global(workDirectory=\"{at}\")\nmodule(load=\"imtcp\")\nmodule(load=\"imudp\")\n{template}\n\
         ruleset(name=\"out\") {{ action(type=\"omfile\" file=\"{at}/out\" template=\"all\") }}\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"out\")\n\
         input(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"out\")\n"
    );
    std::fs::write(folder.join("rsyslog.conf"), settings).unwrap();
    let mut command = Command::new("rsyslogd");
    command.arg("-n").arg("-f").arg(folder.join("rsyslog.conf")).arg("-i").arg(folder.join("pid"));
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("rsyslog is installed")
}

#[tokio::test]
async fn rsyslog_reads_the_fields_of_messages_over_tcp_and_udp() {
    let (backend, folder) = (Stub::saying("hello").await, TempDir::new().unwrap());
    let (held, port) = held_port();
    drop(held);
    let _server = rsyslog(folder.path(), port);
    eventually("rsyslog listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    let sink = |transport: &str| {
        format!(
            "{{syslog: {{name: {transport}, address: \"127.0.0.1:{port}\", transport: {transport}, facility: audit, \
             hostname: gw1, app_name: {transport}, batch: {{every: 10ms}}}}}}"
        )
    };
    let logs = format!("store: {{embedded: data}}\nlogs: [{}, {}]\n", sink("tcp"), sink("udp"));
    let gateway = Gateway::with(&backend, &logs).await;

    assert_eq!(gateway.get("/a%20b?x=%22y").await.status, 200);

    let lines = || std::fs::read_to_string(folder.path().join("out")).unwrap_or_default();
    eventually("both arrived", || lines().lines().count() == 2).await;
    for transport in ["tcp", "udp"] {
        let begin = format!("110 {transport} gw1 access ");
        let lines = lines();
        let message = lines.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_else(|| panic!("{lines}"));
        let message: Value = serde_json::from_str(message.trim()).unwrap();
        assert_eq!((&message["status"], &message["method"]), (&200.into(), &"GET".into()));
    }
}
