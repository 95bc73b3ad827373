//! `vestibule admin` against a gateway that runs, as operators use it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use admin::{Admin, Listener, Storage, Token, Transport};
use control::{Configuration, Node};
use problem::Pointer;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A gateway with a folder of its own, and its admin listener.
struct Gateway {
    folder: TempDir,
    _runtime: Runtime,
}

impl Gateway {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let file = folder.path().join("vestibule.yaml");
        std::fs::write(&file, document(&socket.local_addr().unwrap().to_string())).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (node, admin) = runtime.block_on(async {
            let configuration = Configuration::open(&file).unwrap();
            let node = Node::start(configuration, Some(file.clone()), proxy::Inherited::new()).await.unwrap();
            let keeping = node.keeping.clone().unwrap();
            let (token, _) = Token::load_or_create(&keeping.folder.join("admin.token")).unwrap();
            let storage = Storage {
                partners: keeping.partners.clone(),
                totals: keeping.totals.clone(),
                authorities: keeping.authorities.clone(),
                accounts: keeping.accounts.clone(),
                sessions: keeping.sessions.clone(),
                rooms: keeping.rooms.clone(),
                everywhere: keeping.everywhere.clone(),
                webhooks: keeping.webhooks.clone(),
                alerts: keeping.alerts.clone(),
                jobs: keeping.jobs.clone(),
            };
            let admin = Admin::new(node.clone(), Some(storage), token, Arc::new(control::now));
            (node, admin)
        });
        let listener = Listener::adopt(socket, Transport::Plain, &Pointer::default()).unwrap();
        let routes = admin.routes_at(listener.address());
        runtime.spawn(listener.serve(routes, async move {
            let _alive = node;
            std::future::pending::<()>().await;
        }));
        Self { folder, _runtime: runtime }
    }

    /// Runs a command beside the gateway's configuration.
    fn admin(&self, arguments: &[&str]) -> Output {
        run(self.folder.path(), arguments)
    }

    /// What a command prints; it must do well.
    #[track_caller]
    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.admin(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What a command answers in JSON.
    #[track_caller]
    fn answers(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.prints(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Why a command is not done.
    #[track_caller]
    fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.admin(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
        assert!(output.stdout.is_empty());
        text(&output.stderr)
    }
}

fn document(admin: &str) -> String {
    format!(
        "version: 1\n\
         listeners: {{public: {{bind: \"127.0.0.1:0\"}}}}\n\
         admin: {{bind: \"{admin}\"}}\n\
         store: {{embedded: data}}\n\
         workers: 1\n\
         upstreams: {{orders: {{targets: [\"http://127.0.0.1:9\"]}}}}\n\
         apis: {{orders: {{match: {{path: /orders}}, upstream: orders}}}}\n\
         products: {{gold: {{operations: [\"orders: GET /**\"]}}}}\n\
         rooms: {{sale: {{event: Sample, lanes: {{vip: {{share: 10%}}}}}}}}\n\
         plans: {{gold: {{monthly: 49 EUR, charges: [{{meter: calls, price: 0.01 EUR}}]}}}}\n\
         alerts: {{to: {{ops: {{sentry: {{dsn: \"http://key@127.0.0.1:9/1\"}}}}}}, usual: off}}\n\
         jobs: {{tidy: {{at: \"0 3 * * *\", run: {{rotate-data-key: {{}}}}}}}}\n"
    )
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .current_dir(folder)
        .env_remove("VESTIBULE_ADMIN_URL")
        .env_remove("VESTIBULE_ADMIN_TOKEN")
        .arg("admin")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_mistake_elsewhere_in_the_document_does_not_hide_the_gateway() {
    let gateway = Gateway::start();
    let file = gateway.folder.path().join("vestibule.yaml");
    let document = std::fs::read_to_string(&file).unwrap();

    std::fs::write(&file, document.clone() + "aips: {}\n").unwrap();
    assert!(gateway.prints(&["product", "list"]).contains("gold"));
    assert!(gateway.refuses(&["reload"]).contains("unknown key `aips`"));

    std::fs::write(&file, document.replace("embedded: data", "embeded: data")).unwrap();
    let refused = gateway.refuses(&["product", "list"]);
    assert!(refused.contains("the gateway cannot be found by it") && refused.contains("`--url`"), "{refused}");
    assert!(refused.contains("unknown key `embeded`"), "{refused}");
}

#[test]
fn a_partner_gets_a_key_with_four_commands() {
    let gateway = Gateway::start();

    gateway.prints(&["company", "create", "acme", "--title", "ACME Ltd"]);
    gateway.prints(&["app", "create", "acme/shop"]);
    gateway.prints(&["subscription", "create", "acme/shop", "gold"]);
    let made = gateway.prints(&["key", "create", "acme/shop", "--scope", "read", "--expires-in", "90d"]);

    let secret = made.lines().find(|line| line.starts_with("vk_live_")).unwrap();
    assert_eq!(secret.len(), 59);
    let listed = gateway.prints(&["key", "list", "acme/shop"]);
    assert!(listed.starts_with("ID "), "{listed}");
    assert!(listed.contains("alive") && !listed.contains(secret), "{listed}");
    assert!(gateway.prints(&["company", "list"]).contains("acme  ACME Ltd"));
}

#[test]
fn a_key_is_rotated_and_revoked() {
    let gateway = Gateway::start();
    gateway.prints(&["company", "create", "acme"]);
    gateway.prints(&["app", "create", "acme/shop"]);
    let old = gateway.answers(&["key", "create", "acme/shop"]);
    let id = old["id"].as_str().unwrap();

    let new = gateway.answers(&["key", "rotate", id, "--overlap", "1h"]);
    let revoked = gateway.answers(&["key", "revoke", id]);

    assert_ne!(new["secret"], old["secret"]);
    assert_eq!(revoked["state"], "revoked");
    assert!(gateway.refuses(&["key", "rotate", id]).contains("is revoked or expired"));
    assert_eq!(gateway.answers(&["key", "list", "acme/shop"])["items"].as_array().unwrap().len(), 2);
}

#[test]
fn products_and_subscriptions_are_managed() {
    let gateway = Gateway::start();
    gateway.prints(&["company", "create", "acme"]);
    gateway.prints(&["app", "create", "acme/shop"]);

    let operations = ["--operation", "orders: GET /**", "--operation", "orders: POST /x"];
    let made = gateway.answers(&[&["product", "create", "silver", "--quota", "10/hour"], &operations[..]].concat());
    gateway.prints(&["subscription", "create", "acme/shop", "silver", "--pending"]);
    let waiting = gateway.answers(&["subscription", "list"]);
    let approved = gateway.answers(&["subscription", "approve", "acme/shop", "silver"]);

    assert_eq!(made["quota"]["requests"], 10);
    assert_eq!(waiting["items"][0]["state"], "pending");
    assert_eq!(approved["state"], "approved");
    assert!(gateway.refuses(&["product", "delete", "silver"]).contains("(409)"));
    assert!(gateway.refuses(&["product", "delete", "gold"]).contains("configuration file"));
    assert_eq!(gateway.prints(&["subscription", "delete", "acme/shop", "silver"]).lines().count(), 1);
    assert_eq!(gateway.prints(&["product", "delete", "silver"]), "product silver is deleted\n");
}

#[test]
fn status_usage_and_reload_are_told() {
    let gateway = Gateway::start();

    let status = gateway.prints(&["status"]);
    assert!(status.contains("ready") && status.contains("public") && status.contains("127.0.0.1:9"), "{status}");
    assert!(gateway.prints(&["usage"]).starts_with("0 requests from"));
    let file = gateway.folder.path().join("vestibule.yaml");
    let document = std::fs::read_to_string(&file).unwrap();
    write_unnoticed(&file, &(document.clone() + "limits: {header_count: many}\n"));
    let refused = gateway.refuses(&["reload", "--url", &url(&gateway), "--token-file", "data/admin.token"]);
    let place = format!("vestibule.yaml:{}: /limits/header_count: ", document.lines().count() + 1);
    assert!(refused.contains(&place), "{refused}");
    write_unnoticed(&file, &(document + "shutdown: {drain: 7s}\n"));
    assert!(gateway.prints(&["reload"]).contains("/shutdown"));
}

/// Writes a file so that it seems not to have changed: what watches it leaves the change to the command.
fn write_unnoticed(file: &Path, text: &str) {
    let changed = std::fs::metadata(file).unwrap().modified().unwrap();
    std::fs::write(file, text).unwrap();
    std::fs::File::options().write(true).open(file).unwrap().set_modified(changed).unwrap();
}

#[test]
fn a_month_is_billed_closed_and_credited() {
    let gateway = Gateway::start();

    gateway.prints(&["company", "create", "acme"]);
    gateway.prints(&["contract", "create", "acme/first", "gold", "2026-01-22", "--end", "2027-01-01"]);
    assert!(gateway.prints(&["contract", "list", "acme"]).contains("2027-01-01"));
    let draft = gateway.answers(&["statement", "create", "acme", "2026-01"]);
    let hash = draft["hash"].as_str().unwrap();
    assert_eq!((&draft["total"], &draft["state"]), (&"15.81".into(), &"draft".into()));
    let shown = gateway.prints(&["statement", "show", "1"]);
    assert!(shown.contains("10 of 31 days") && shown.contains("15.81"), "{shown}");
    assert!(gateway.refuses(&["statement", "close", "1", "--hash", "another"]).contains("(409)"));
    gateway.prints(&["statement", "close", "1", "--hash", hash]);
    let note = gateway.answers(&["statement", "credit", "1", "0.81", "a courtesy"]);

    assert_eq!((&note["kind"], &note["total"]), (&"credit-note".into(), &"0.81".into()));
    let refused = gateway.refuses(&["statement", "credit", "1", "15.01", "all of it"]);
    assert!(refused.contains("/lines: 15.00 EUR is all that is left"), "{refused}");
    assert!(gateway.refuses(&["statement", "discard", "1"]).contains("is closed and stays"));
    assert_eq!(gateway.answers(&["statement", "recount", "1"])["same"], true);
    let table = gateway.prints(&["statement", "show", "1", "--format", "csv"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    let page = gateway.prints(&["statement", "show", "2", "--format", "html"]);
    assert!(page.starts_with("<!doctype html>") && page.contains("a courtesy"), "{page}");
    assert_eq!(gateway.answers(&["statement", "list", "--company", "acme"])["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_document_that_belongs_to_a_file_is_not_replaced_behind_it() {
    let gateway = Gateway::start();
    let (refused, tried) = (put(&gateway, "vestibule.yaml", ""), put(&gateway, "vestibule.yaml", "?dry_run=true"));

    assert!(refused.ends_with(" 409") && refused.contains("vestibule.yaml: write it there"), "{refused}");
    assert!(tried.ends_with(" 200") && tried.contains("\"changes\":[]"), "{tried}");
}

#[test]
fn no_document_that_is_sent_or_checked_tells_what_is_in_a_file() {
    let gateway = Gateway::start();
    let serving = std::fs::read_to_string(gateway.folder.path().join("vestibule.yaml")).unwrap();
    let token = token(&gateway);
    for policy in [
        "respond: {text: \"{${file:data/admin.token}}\"}",
        "respond: {text: \"{request.${file:data/admin.token}\"}",
        "waf: {rules: [data/admin.token]}",
        "waf: {directives: 'SecRule REMOTE_ADDR \"@ipMatchFromFile data/admin.token\" \"id:1,phase:1,deny\"'}",
    ] {
        let sent = serving.replace("upstream: orders}", &format!("upstream: orders, policies: [{{{policy}}}]}}"));
        std::fs::write(gateway.folder.path().join("sent.yaml"), sent).unwrap();

        let told = put(&gateway, "sent.yaml", "?dry_run=true");
        let checked = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["check", "sent.yaml"])
            .current_dir(gateway.folder.path())
            .output()
            .unwrap();

        assert!(told.ends_with(" 422") && !told.contains(&token), "{policy}: {told}");
        let checked_told = text(&checked.stdout);
        assert_eq!(checked.status.code(), Some(1), "{policy}: {checked_told}");
        assert!(!checked_told.contains(&token), "{policy}: {checked_told}");
    }
}

fn token(gateway: &Gateway) -> String {
    std::fs::read_to_string(gateway.folder.path().join("data/admin.token")).unwrap().trim().to_owned()
}

/// Sends a file of the gateway's folder as its configuration, and answers what is said and the status.
fn put(gateway: &Gateway, file: &str, query: &str) -> String {
    let output = Command::new("curl")
        .args(["-sS", "-X", "PUT", "-w", " %{http_code}", "--data-binary", &format!("@{file}")])
        .args(["-H", "content-type: application/yaml", "-H", &format!("authorization: Bearer {}", token(gateway))])
        .arg(format!("{}/config{query}", url(gateway)))
        .current_dir(gateway.folder.path())
        .output();
    text(&output.unwrap().stdout)
}

fn url(gateway: &Gateway) -> String {
    let file = gateway.folder.path().join("vestibule.yaml");
    let document = std::fs::read_to_string(file).unwrap();
    let bind = document.lines().find(|line| line.starts_with("admin")).unwrap().split('"').nth(1).unwrap();
    format!("http://{bind}")
}

#[test]
fn a_mistake_is_told_with_its_field() {
    let gateway = Gateway::start();
    let refused = gateway.refuses(&["company", "create", "Acme!"]);
    assert!(refused.contains("(422)") && refused.contains("\n  /name: "), "{refused}");
    assert!(gateway.refuses(&["company", "show", "none"]).contains("(404)"));
}

#[test]
fn a_wrong_token_opens_nothing_and_says_where_the_right_one_is() {
    let gateway = Gateway::start();
    let refused = gateway.refuses(&["company", "list", "--url", &url(&gateway), "--token", "va_wrong"]);
    assert!(refused.contains("(401)") && refused.contains("admin.token"), "{refused}");
}

#[test]
fn a_gateway_that_does_not_run_is_said_to_be_started() {
    let folder = tempfile::tempdir().unwrap();
    // Bound, and not listened on: whoever connects is refused.
    let port = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    port.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let gone = port.local_addr().unwrap().as_socket().unwrap();
    let silent = run(folder.path(), &["status", "--url", &format!("http://{gone}"), "--token", "va_x"]);
    assert_eq!(silent.status.code(), Some(1));
    assert!(text(&silent.stderr).contains("start it with `vestibule run vestibule.yaml`"), "{}", text(&silent.stderr));

    let unknown = run(folder.path(), &["status"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("--config"), "{}", text(&unknown.stderr));

    let misspelt = run(folder.path(), &["status", "--url", "gateway"]);
    assert_eq!(misspelt.status.code(), Some(2));
}

#[test]
fn a_rotation_is_looked_at_and_ended() {
    let gateway = Gateway::start();
    gateway.prints(&["company", "create", "acme"]);
    gateway.prints(&["app", "create", "acme/shop"]);
    let old = gateway.answers(&["key", "create", "acme/shop"])["id"].as_str().unwrap().to_owned();
    let new = gateway.answers(&["key", "rotate", &old])["id"].as_str().unwrap().to_owned();

    let rotated = gateway.prints(&["key", "rotated"]);

    assert!(rotated.contains(&old) && rotated.contains(&new) && rotated.contains("false"), "{rotated}");
    assert_eq!(gateway.answers(&["key", "end-overlap", &new])["state"], "expired");
    assert_eq!(gateway.prints(&["key", "rotated"]), "nothing\n");
    assert!(gateway.prints(&["key", "expire", &new, "--at", "2040-01-01"]).contains("2040-01-01T00:00:00Z"));
    assert_eq!(gateway.answers(&["key", "expire", &new])["expires"], Value::Null);
}

#[test]
fn keys_of_another_program_are_imported_from_a_file() {
    let gateway = Gateway::start();
    gateway.prints(&["company", "create", "acme"]);
    gateway.prints(&["app", "create", "acme/shop"]);
    std::fs::write(
        gateway.folder.path().join("keys.txt"),
        "a-key-of-the-old-portal-0001\n\nanother-key-of-that-portal\n",
    )
    .unwrap();
    std::fs::write(gateway.folder.path().join("hashes.txt"), "ab".repeat(32)).unwrap();

    let imported = gateway.prints(&["key", "import", "acme/shop", "keys.txt", "--scope", "read"]);

    assert_eq!(
        imported.lines().filter(|line| line.contains("alive") && line.contains("read")).count(),
        2,
        "{imported}"
    );
    let hashed = gateway.answers(&["key", "import", "acme/shop", "hashes.txt", "--hashed", "sha-256"]);
    assert_eq!(hashed["items"].as_array().unwrap().len(), 1);
    assert!(gateway.refuses(&["key", "import", "acme/shop", "keys.txt"]).contains("is a key already"));
    assert!(gateway.refuses(&["key", "import", "acme/shop", "none.txt"]).contains("cannot be read"));
}

#[test]
fn people_and_webhooks_are_looked_after() {
    let gateway = Gateway::start();
    gateway.prints(&["company", "create", "acme"]);
    gateway.prints(&["developer", "create", "acme/ann", "ann@acme.example", "--title", "Ann Lee"]);
    assert!(gateway.prints(&["developer", "list", "acme"]).contains("Ann Lee"));
    gateway.prints(&["developer", "delete", "acme/ann"]);

    let made = gateway.prints(&["webhook", "create", "portal", "https://portal.example/hooks", "--kind", "key.*"]);

    assert!(made.contains("whsec_") && made.contains("never again"), "{made}");
    assert!(gateway.prints(&["webhook", "rotate-secret", "portal"]).contains("whsec_"));
    assert_eq!(gateway.answers(&["webhook", "disable", "portal"])["enabled"], false);
    assert!(gateway.prints(&["webhook", "list"]).contains("an operator said so"));
    assert_eq!(gateway.prints(&["webhook", "deliveries", "portal"]), "nothing\n");
    assert!(gateway.refuses(&["webhook", "create", "local", "http://127.0.0.1/"]).contains("without TLS"));
    assert_eq!(gateway.prints(&["webhook", "delete", "portal"]), "webhook portal is deleted\n");
}

#[test]
fn alerts_are_silenced_and_jobs_are_run() {
    let gateway = Gateway::start();
    assert_eq!(gateway.prints(&["alert", "list"]), "nothing\n");

    let for_a_while = ["alert", "silence", "--for", "4h", "--reason", "agreed"];
    let of = |what: &[&'static str]| [&for_a_while[..], what].concat();
    let silence = gateway.answers(&of(&["--rule", "most_open", "--label", "caller=acme/shop"]));
    assert_eq!((&silence["rule"], &silence["labels"]["caller"]), (&"most_open".into(), &"acme/shop".into()));
    assert!(gateway.refuses(&of(&["--rule", "upstrem"])).contains("no rule `upstrem` in the configuration; there are"));
    assert_eq!(gateway.admin(&for_a_while).status.code(), Some(2), "it says of what, even if that is all");
    assert_eq!(gateway.answers(&of(&["--all"]))["rule"], Value::Null);
    assert!(gateway.prints(&["alert", "silences"]).contains("agreed"));
    let id = silence["id"].as_str().unwrap();
    assert_eq!(gateway.prints(&["alert", "unsilence", id]), format!("silence {id} is ended\n"));
    assert!(gateway.refuses(&["alert", "silence", "--all", "--for", "1y", "--reason", "x"]).contains("for"));
    assert!(gateway.prints(&["alert", "receivers"]).contains("sentry"));
    assert_eq!(gateway.answers(&["alert", "test", "ops"])["taken"], false);

    assert!(gateway.prints(&["job", "list"]).contains("0 3 * * * UTC"));
    gateway.prints(&["job", "run", "tidy"]);
    let runs = || gateway.prints(&["job", "runs", "tidy"]);
    assert!((0..500).any(|_| runs().contains("done")), "{}", runs());
    assert!(runs().contains("bootstrap") && runs().contains("closed with a new data key"), "{}", runs());
}

#[test]
fn a_room_is_operated_and_takes_a_key_of_another_program() {
    let gateway = Gateway::start();
    assert!(gateway.prints(&["room", "list"]).contains("Sample"));
    assert_eq!(gateway.answers(&["room", "show", "sale"])["queue_counter"], 0);
    assert_eq!(gateway.prints(&["room", "move", "sale", "10"]), "the serving number is 10\n");
    assert_eq!(gateway.prints(&["room", "move", "sale", "-100"]), "the serving number is 0\n");
    assert_eq!(gateway.prints(&["room", "move", "sale", "7"]), "the serving number is 7\n");
    for (command, state) in [
        ("pause", "paused"),
        ("close", "closed"),
        ("pass-everybody", "passing-everybody"),
        ("open", "open"),
        ("follow-schedule", "open"),
    ] {
        assert_eq!(gateway.prints(&["room", command, "sale"]), format!("the room is {state}\n"));
    }
    let invites = gateway.prints(&["room", "invite", "sale", "--lane", "vip", "--count", "2"]);
    assert!(invites.lines().count() == 2 && invites.lines().all(|invite| invite.len() > 40), "{invites}");
    let (first, list) = (invites.lines().next().unwrap(), gateway.folder.path().join("invites.txt"));
    let ended = "open nothing any more that did before\n";
    assert_eq!(gateway.prints(&["room", "revoke-invites", "sale", first]), format!("1 {ended}"));
    std::fs::write(&list, &invites).unwrap();
    let listed = ["room", "revoke-invites", "sale", "--list", list.to_str().unwrap()];
    assert_eq!(gateway.prints(&listed), format!("1 {ended}"), "the other one of both");
    assert_eq!(gateway.prints(&listed), format!("0 {ended}"));
    assert!(
        gateway.refuses(&["room", "revoke-invites", "sale", "x"]).contains("`x`, which is no invite for this room")
    );
    assert!(gateway.refuses(&["room", "invite", "sale", "--lane", "gold"]).contains("is no lane of the room"));
    let early = ["room", "draw", "sale", "--public-value", "8430af"];
    assert!(gateway.refuses(&early).contains("No lots wait to be drawn"));
    gateway.prints(&["room", "reset", "sale"]);
    assert_eq!(gateway.answers(&["room", "show", "sale"])["serving_counter"], 0);
    gateway.prints(&["room", "undo-reset", "sale"]);
    assert_eq!(gateway.answers(&["room", "show", "sale"])["serving_counter"], 7);
    assert!(gateway.refuses(&["room", "undo-reset", "sale"]).contains("no reset of the last hour"));
    let kid = "0123456789abcdef0123456789abcdef";
    let (file, none) = (gateway.folder.path().join("key.json"), gateway.folder.path().join("none.json"));
    std::fs::write(&file, testkit::private_jwk(kid).to_string()).unwrap();
    std::fs::write(&none, "{\"kty\":\"EC\"}").unwrap();

    let told = gateway.prints(&["room", "import-key", "sale", "--jwk", file.to_str().unwrap()]);
    assert_eq!(told, format!("tokens are signed with the key {kid} from now on\n"));

    assert!(
        gateway
            .refuses(&["room", "import-key", "sale", "--jwk", none.to_str().unwrap()])
            .contains("no private RSA key")
    );
    let told = gateway.prints(&["room", "rotate-key", "sale", "--signs-in", "1d"]);
    assert!(told.starts_with("tokens are signed with the key ") && told.contains(" from 20"), "{told}");
    let told = gateway.prints(&["room", "access-key", "create", "ci"]);
    assert!(told.contains("VK") && told.contains("shown now and never again"), "{told}");
    assert!(gateway.prints(&["room", "access-key", "list"]).contains("operator"));
    gateway.prints(&["room", "access-key", "delete", "ci"]);
    assert!(gateway.refuses(&["room", "access-key", "delete", "ci"]).contains("access key `ci`"));
    assert!(gateway.refuses(&["room", "import-key", "sail", "--jwk", file.to_str().unwrap()]).contains("room `sail`"));
    assert!(gateway.prints(&["audit"]).contains("room-key"));
}
