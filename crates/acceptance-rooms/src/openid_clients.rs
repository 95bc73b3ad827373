//! A waiting room as the provider of real OpenID clients.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use rooms::KeptRoom;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Gateway, curl, eventually};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const SECRET: &str = "a-secret-of-the-client";

const DOCUMENT: &str = "
store: {embedded: ./data}
rooms:
  sale:
    event: Sample
    openid: {issuer: \"ISSUER\", client_secret: \"SECRET\", redirect_uris: [\"BACK\"]LOGIN}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  oidc: {match: {path: /oidc}, policies: [{waiting-room-api: {room: sale, serves: openid}}]}
";

/// A gateway whose room is the provider of a client that is at this address.
struct Provider {
    gateway: Gateway,
    issuer: String,
}

impl Provider {
    async fn of(back: &str) -> Self {
        Self::with(back, "").await
    }

    /// With a page of the site's own, at this address, where people join.
    async fn with_login(back: &str, login: &str) -> Self {
        Self::with(back, &format!(", login: \"{login}\"")).await
    }

    async fn with(back: &str, login: &str) -> Self {
        let document = |issuer: &str| {
            let document = DOCUMENT.replace("ISSUER", issuer).replace("SECRET", SECRET);
            document.replace("BACK", back).replace("LOGIN", login)
        };
        // Only then its port is known.
        let gateway = Gateway::serving(&document("http://127.0.0.1")).await;
        let issuer = format!("http://{}/oidc", gateway.address());
        gateway.reload(&document(&issuer)).unwrap();
        Self { gateway, issuer }
    }

    fn room(&self) -> Arc<KeptRoom> {
        self.gateway.node().keeping.as_ref().unwrap().rooms.named("sale").unwrap()
    }

    async fn let_in(&self, by: i64) {
        let now = u32::try_from(control::now().0 / 1_000_000).unwrap();
        self.room().move_by(by, now).await.unwrap();
    }
}

/// A program for node that runs, with what it says.
struct Program {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    _folder: TempDir,
}

impl Program {
    fn start(source: &str, arguments: &[&str]) -> Self {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/npm/node_modules");
        assert!(modules.join("openid-client").exists(), "`cargo xtask test` installs what this needs");
        let folder = TempDir::new().unwrap();
        symlink(modules, folder.path().join("node_modules")).unwrap();
        std::fs::write(folder.path().join("program.mjs"), source).unwrap();
        let mut command = Command::new("node");
        command.arg(folder.path().join("program.mjs")).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.kill_on_drop(true).spawn().expect("node is installed");
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, said, _folder: folder }
    }

    async fn says(&mut self) -> String {
        self.said.next_line().await.unwrap().expect("the program says something")
    }

    async fn hears(&mut self, line: &str) {
        self.process.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
}

/// What the npm package `openid-client` got.
async fn openid_client(provider: &Provider) -> Value {
    let arguments = [&*provider.issuer, SECRET, "http://shop.example/back"];
    let mut client = Program::start(include_str!("openid_clients/client.mjs"), &arguments);
    assert_eq!(client.says().await, "waits");
    provider.let_in(1).await;
    serde_json::from_str(&client.says().await).unwrap()
}

#[tokio::test]
async fn an_openid_client_waits_and_gets_tokens_that_it_and_pyjwt_believe() {
    let provider = Provider::of("http://shop.example/back").await;

    let got = openid_client(&provider).await;

    let (claims, info) = (&got["claims"], &got["info"]);
    assert_eq!((&claims["nonce"], &claims["iss"]), (&got["nonce"], &json!(provider.issuer)));
    assert_eq!((&info["sub"], &info["queue_position"]), (&claims["sub"], &json!(1)));
    assert_eq!(got["stolen"], "OAUTH_JWT_CLAIM_COMPARISON_FAILED", "a code is of use to nobody else");
    assert_eq!(got["again"], *claims);
    let jwks = format!("{}/.well-known/jwks.json", provider.issuer);
    let [access, identity] = ["access", "id"].map(|name| got[name].as_str().unwrap());
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", include_str!("openid_clients/tokens.py"), &jwks, &provider.issuer, access, identity]);
    let output = python.output().await.expect("python3 is installed");
    let verified: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!((&verified["access"]["token_use"], &verified["id"]["nonce"]), (&json!("access"), &got["nonce"]));
    for (case, error) in [
        ("other audience", "InvalidAudienceError"),
        ("other issuer", "InvalidIssuerError"),
        ("forged", "InvalidSignatureError"),
    ] {
        assert_eq!(verified[case], error, "{case}");
    }
}

#[tokio::test]
async fn people_wait_on_a_sites_own_page_in_chromium_and_its_client_gets_its_state_and_nonce_back() {
    let mut site = Program::start(include_str!("openid_clients/login.mjs"), &[SECRET]);
    let address = site.says().await;
    let provider = Provider::with_login(&format!("{address}/back"), &format!("{address}/login")).await;

    site.hears(&provider.issuer).await;
    assert_eq!(site.says().await, "waits at place 1");
    provider.let_in(1).await;
    let got: Value = serde_json::from_str(&site.says().await).unwrap();

    assert_eq!((&got["claims"]["nonce"], &got["claims"]["aud"]), (&got["nonce"], &json!("Sample")));
    assert_eq!(got["claims"]["sub"], got["joined"], "who came in is who waited");
    assert_eq!(got["early"], format!("{address}/login"), "before their turn people are sent to the page again");
    assert_eq!((&got["shown"], &got["complaints"]), (&json!("behind the room"), &json!([])));
}

/// An Apache before a page that only those see who come by `mod_auth_openidc`.
struct Apache {
    folder: TempDir,
    /// Bound, and not listened on: it keeps the port for Apache, which cannot be given a socket.
    _port: socket2::Socket,
    port: u16,
}

impl Apache {
    fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        Self { folder: TempDir::new().unwrap(), _port: socket, port }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn start(&self, issuer: &str) -> Child {
        let at = self.folder.path();
        // Its workers are another user.
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(at.join("site")).unwrap();
        std::fs::write(at.join("site/page"), "behind the room").unwrap();
        let settings = include_str!("openid_clients/apache.conf").replace("FOLDER", &at.display().to_string());
        let settings = settings.replace("PORT", &self.port.to_string());
        let settings = settings.replace("ISSUER", issuer).replace("SECRET", SECRET);
        std::fs::write(at.join("apache.conf"), settings).unwrap();
        let mut command = Command::new("/usr/sbin/apache2");
        // One process, which ends with the test.
        command.arg("-X").arg("-f").arg(at.join("apache.conf"));
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
        let child = child.expect("apache2 is installed");
        eventually("apache2 listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()).await;
        child
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

#[tokio::test]
async fn apache_with_mod_auth_openidc_lets_in_whose_turn_has_come() {
    let apache = Apache::new();
    let provider = Provider::of(&apache.url("/back")).await;
    let _process = apache.start(&provider.issuer).await;
    let (jar, page) = (apache.folder.path().join("jar"), apache.url("/page"));
    let jar = jar.to_str().unwrap();
    let browse = [
        "--silent",
        "--location",
        "--cookie-jar",
        jar,
        "--cookie",
        jar,
        "--header",
        "accept: text/html",
        "--write-out",
        "\n%{http_code} %{url_effective}",
        &page,
    ];

    let waiting = curl(&browse).await;
    assert!(waiting.contains("You are in line"), "{waiting}\n{}", apache.log());
    provider.let_in(1).await;
    let inside = curl(&browse).await;

    assert_eq!(inside, format!("behind the room\n200 {page}"), "{}", apache.log());
    assert_eq!(provider.room().counters().unwrap().queue, 1, "who comes again has the same place");
}
