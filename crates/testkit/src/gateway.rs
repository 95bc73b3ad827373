//! A whole gateway in this process.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use control::{Configuration, Node, Published, StartError};
use proxy::Inherited;
use rustls_pki_types::ServerName;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Reply, Stub, Wire, within};

/// What every document begins with that says nothing else.
const LISTENERS: &str = "listeners: {public: {bind: \"127.0.0.1:0\"}}\n";

/// A gateway that serves a document. Its folder goes when it goes.
pub struct Gateway {
    node: Arc<Node>,
    folder: Arc<TempDir>,
}

impl Gateway {
    /// Passes everything on to one backend.
    pub async fn before(stub: &Stub) -> Self {
        Self::with(stub, "").await
    }

    /// Passes everything on to one backend, by a document with these further parts.
    pub async fn with(stub: &Stub, parts: &str) -> Self {
        Self::serving(&pass_on(stub, parts)).await
    }

    /// Serves a document; `version`, and the listener `public` on a free port, are added where they are not written.
    /// What it refers to is looked for in a folder of its own.
    pub async fn serving(document: &str) -> Self {
        Self::in_folder(TempDir::new().expect("a folder"), document).await
    }

    /// Serves a document that refers to files in a folder.
    pub async fn in_folder(folder: TempDir, document: &str) -> Self {
        Self::start(Arc::new(folder), document).await.unwrap_or_else(|error| panic!("{}", text(&error)))
    }

    /// The findings for which a document is not served.
    pub async fn refusing(document: &str) -> String {
        Self::refusing_in(TempDir::new().expect("a folder"), document).await.0
    }

    /// As [`Self::refusing`], in a folder.
    pub async fn refusing_in(folder: TempDir, document: &str) -> (String, TempDir) {
        let folder = Arc::new(folder);
        match Self::start(folder.clone(), document).await {
            Ok(_) => panic!("it serves"),
            Err(error) => (text(&error), Arc::into_inner(folder).expect("nobody else has the folder")),
        }
    }

    async fn start(folder: Arc<TempDir>, document: &str) -> Result<Self, StartError> {
        let file = folder.path().join("vestibule.yaml");
        std::fs::write(&file, complete(document)).expect("the folder is there");
        let configuration = Configuration::open(&file).map_err(StartError::Findings)?;
        let node = Node::start(configuration, Some(file), Inherited::default()).await?;
        Ok(Self { node, folder })
    }

    /// The node, for what operators do.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of the listener `public`.
    pub fn address(&self) -> SocketAddr {
        self.listener("public").expect("there is a listener `public`")
    }

    /// The address of a listener, if it is open.
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.node.gateway.address(name)
    }

    /// A URL of the listener `public`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Wire {
        Wire::connect(self.address()).await
    }

    /// Opens a connection by TLS.
    pub async fn connect_tls(&self, name: &str, client: rustls::ClientConfig) -> std::io::Result<Wire> {
        Ok(Wire::over(self.handshake(name, Arc::new(client)).await?))
    }

    /// Opens a connection by TLS, to look at its handshake.
    pub async fn handshake(
        &self,
        name: &str,
        client: Arc<rustls::ClientConfig>,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address()).await?;
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        within("a handshake", TlsConnector::from(client).connect(name, tcp)).await
    }

    /// Asks by GET, on a connection of its own.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[]).await
    }

    /// Asks by GET with headers, on a connection of its own.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers).await
    }

    /// Sends a request without a body, on a connection of its own.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: api.example\r\n");
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").expect("there is memory");
        }
        head.push_str("\r\n");
        self.connect().await.ask(head).await
    }

    /// Writes another document over the one that serves, and has it read.
    pub fn reload(&self, document: &str) -> Result<Published, String> {
        std::fs::write(self.folder().join("vestibule.yaml"), complete(document)).expect("the folder is there");
        self.node.reload().map_err(|findings| lines(&findings))
    }

    /// Starts a second one in the same folder, as an upgrade does: both serve, and each knows of the other.
    pub async fn successor(&self) -> Self {
        let expecting = self.node.expect_successor();
        let document = std::fs::read_to_string(self.folder().join("vestibule.yaml")).expect("it was written");
        let successor = Self::start(self.folder.clone(), &document).await;
        drop(expecting);
        successor.unwrap_or_else(|error| panic!("{}", text(&error)))
    }

    /// Stops, and starts again in the same folder.
    pub async fn restart(self) -> Self {
        self.stop().await;
        let document = std::fs::read_to_string(self.folder().join("vestibule.yaml")).expect("it was written");
        let Self { node, folder } = self;
        drop(node);
        Self::start(folder, &document).await.unwrap_or_else(|error| panic!("{}", text(&error)))
    }

    /// Stops, and leaves its folder.
    pub async fn stopped(self) -> TempDir {
        self.stop().await;
        let Self { node, folder } = self;
        drop(node);
        Arc::try_unwrap(folder).expect("there is no successor")
    }

    /// Stops in order.
    pub async fn stop(&self) {
        within("the gateway to stop", self.node.stop()).await;
    }
}

/// A document that passes everything on to one backend.
fn pass_on(stub: &Stub, parts: &str) -> String {
    let address = stub.address;
    let mut document = String::new();
    if !parts.contains("upstreams:") {
        writeln!(document, "upstreams: {{backend: {{targets: [\"http://{address}\"]}}}}").expect("there is memory");
    }
    if !parts.contains("apis:") {
        document.push_str("apis: {all: {match: {path: /}, upstream: backend}}\n");
    }
    document + &parts.replace("BACKEND", &address.to_string())
}

/// Adds what every document needs.
fn complete(document: &str) -> String {
    let mut whole = String::new();
    let says = |name: &str| document.lines().any(|line| line.starts_with(name));
    if !says("version:") {
        whole.push_str("version: 1\nworkers: 1\n");
    }
    if !says("listeners:") {
        whole.push_str(LISTENERS);
    }
    whole + document
}

fn text(error: &StartError) -> String {
    match error {
        StartError::Findings(findings) => lines(findings),
        error => error.to_string(),
    }
}

fn lines(findings: &[problem::Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
