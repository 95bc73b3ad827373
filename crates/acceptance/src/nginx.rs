//! A real nginx as the backend.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use tempfile::TempDir;
use testkit::{Gateway, Wire, curl, eventually};
use tokio::process::{Child, Command};

/// An nginx that ends with the test.
struct Nginx {
    address: SocketAddr,
    folder: TempDir,
    /// Bound, and not listened on: it keeps the port for nginx, which cannot be given a socket.
    _port: socket2::Socket,
    _process: Child,
}

async fn nginx() -> Nginx {
    let folder = TempDir::new().unwrap();
    let port = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    port.set_reuse_port(true).unwrap();
    port.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = port.local_addr().unwrap().as_socket().unwrap();
    let at = folder.path().display();
    let settings = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; gzip on; gzip_min_length 10; gzip_types text/plain;\n\
         default_type text/plain; keepalive_requests 3;\n\
         server {{ listen {address} reuseport; root {at}; client_max_body_size 10k;\n\
         location /echo {{ proxy_pass http://{address}/sink; proxy_http_version 1.1; }}\n\
         location /sink {{ return 200 \"$request_method $content_length $http_transfer_encoding $http_host\"; }} }} }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), settings).unwrap();
    std::fs::write(folder.path().join("file"), "0123456789".repeat(1000)).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
    let process =
        command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("nginx is installed");
    eventually("nginx listens", || std::net::TcpStream::connect(address).is_ok()).await;
    Nginx { address, folder, _port: port, _process: process }
}

async fn before(nginx: &Nginx) -> Gateway {
    Gateway::serving(&format!(
        "upstreams: {{u: {{targets: [\"http://{}\"]}}}}\napis: {{a: {{match: {{path: /}}, upstream: u}}}}\n",
        nginx.address
    ))
    .await
}

#[tokio::test]
async fn files_ranges_and_conditions_are_as_without_the_gateway() {
    let nginx = nginx().await;
    let gateway = before(&nginx).await;
    let file = std::fs::read(nginx.folder.path().join("file")).unwrap();

    let whole = gateway.get("/file").await;
    assert!(whole.body == file);
    let part = gateway.get_with("/file", &[("Range", "bytes=5-9")]).await;
    assert_eq!((part.status, part.text().as_str()), (206, "56789"));
    assert_eq!(part.header("content-range"), Some("bytes 5-9/10000"));
    let same = gateway.get_with("/file", &[("If-None-Match", whole.header("etag").unwrap())]).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    let head = gateway.connect().await.ask("HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(head.header("content-length"), Some("10000"));
    assert_eq!(gateway.get("/missing").await.status, 404);
    assert_eq!(
        gateway.get("/missing").await.header("server"),
        Wire::connect(nginx.address).await.ask("GET /missing HTTP/1.1\r\nHost: a\r\n\r\n").await.header("server")
    );
}

#[tokio::test]
async fn compressed_answers_pass_in_chunks_as_they_are() {
    let nginx = nginx().await;
    let gateway = before(&nginx).await;

    let reply = gateway.get_with("/file", &[("Accept-Encoding", "gzip")]).await;
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    assert!(reply.body.starts_with(&[0x1f, 0x8b]));

    assert_eq!(curl(&["--compressed", &gateway.url("/file")]).await, "0123456789".repeat(1000));
}

#[tokio::test]
async fn a_backend_that_closes_after_some_requests_is_not_noticed() {
    let nginx = nginx().await;
    let gateway = before(&nginx).await;
    let mut client = gateway.connect().await;

    for number in 0..20 {
        let reply = client.ask("GET /file HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!((reply.status, reply.body.len()), (200, 10_000), "request {number}");
    }
}

#[tokio::test]
async fn uploads_in_chunks_and_with_100_continue_arrive() {
    let nginx = nginx().await;
    let gateway = before(&nginx).await;
    let mut client = gateway.connect().await;

    let chunked =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let reply = client.ask(chunked).await;
    assert!(reply.text().starts_with("POST 7 "), "{reply:?}");

    let expecting = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(client.ask(expecting).await.status, 100);
    assert!(client.ask("hello").await.text().starts_with("POST 5 "));

    let too_large = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50000\r\n\r\n";
    assert_eq!(client.ask(too_large).await.status, 413, "nginx refuses, and no body is asked for");
}
