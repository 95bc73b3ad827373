//! Pages of waiting rooms that the real program serves, in Chromium: with proofs of work, without a stream, as people see them
//! who see them otherwise than most, and as operators use theirs under stress.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::browser::browsing;
use crate::given::{Backend, Running};

/// Rooms by name, with what the document says of them. Each has a page, and an API for visitors at `/of-NAME`.
const ROOMS: &[(&str, &str)] = &[
    ("plain", "{}"),
    ("laned", "{lanes: {vip: {share: 50%}}}"),
    ("moving", "{inlet: {periodic: {by: 1, every: 1s}}}"),
    ("missed", "{presence: {absent_after: 4s, grace: 1m}}"),
    ("worked", "{proof_of_work: {difficulty: 12}}"),
    ("hard", "{proof_of_work: {difficulty: 32}}"),
    ("strict", "{proof_of_work: {difficulty: 12, without: refused}}"),
    ("early", "{schedule: {pre_queue: \"GATHERS\", opens: \"OPENS\"}}"),
    (
        "own",
        "{page: {title: Tickets for the summer festival, logo: \"${file:logo.svg}\", template: \"${file:wait.html}\", texts: {en: {waiting: Nearly there}}}}",
    ),
];

const LOGO: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 90 30' width='90' height='30'><circle cx='15' cy='15' r='14' fill='#7a1f5c'/><path d='M36 8h50v14H36z' fill='#d9a521'/></svg>";

const TEMPLATE: &str = "<!doctype html>
<html lang=\"{{lang}}\" dir=\"{{dir}}\">
<head>{{head}}<style>:root{--accent:#7a1f5c}@media(prefers-color-scheme:dark){:root{--accent:#f0a8d8}}</style></head>
<body><header>{{logo}}{{title}}</header><main>{{room}}</main><footer>{{languages}}</footer></body>
</html>
";

fn gateway(many: usize) -> Running {
    let backend = Backend::start();
    let mut document = format!(
        "version: 1\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\nadmin: {{bind: \"127.0.0.1:0\"}}\n\
         store: {{embedded: data}}\nworkers: 2\nupstreams: {{shop: {{targets: [\"http://{}\"]}}}}\n\
         diagnostics: {{format: json}}\nrooms:\n",
        backend.address
    );
    for (name, settings) in ROOMS {
        writeln!(document, "  {name}: {settings}").unwrap();
    }
    for number in 0..many {
        writeln!(document, "  stand-{number:02}: {{}}").unwrap();
    }
    document.push_str("apis:\n");
    for (name, _) in ROOMS {
        writeln!(
            document,
            "  {name}: {{match: {{path: /{name}}}, upstream: shop, policies: [{{waiting-room: {{room: {name}}}}}]}}"
        )
        .unwrap();
        writeln!(
            document,
            "  of-{name}: {{match: {{path: /of-{name}}}, policies: [{{waiting-room-api: {{room: {name}}}}}]}}"
        )
        .unwrap();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let document = document.replace("GATHERS", &moment(now - 60)).replace("OPENS", &moment(now + 86_400 - 5));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("logo.svg"), LOGO).unwrap();
    std::fs::write(folder.path().join("wait.html"), TEMPLATE).unwrap();
    Running::serving(folder, document)
}

fn moment(seconds: u64) -> String {
    model::rooms::Moment::at(u32::try_from(seconds).unwrap()).to_string()
}

/// What programs that browse are told: the gateway, its admin listener, and the token of that.
fn told(running: &Running) -> [String; 3] {
    let token = std::fs::read_to_string(running.folder().join("data/admin.token")).unwrap();
    [format!("http://{}", running.address), format!("http://{}", running.admin), token.trim().to_owned()]
}

fn browses(program: &str) {
    let running = gateway(0);
    let told = told(&running);
    browsing(program, &told.each_ref().map(String::as_str)).succeeds();
    running.stop();
}

#[test]
fn a_proof_of_work_is_done_by_the_browser_or_left_out_with_chromium() {
    browses(include_str!("../browser/proof.mjs"));
}

#[test]
fn a_page_without_a_stream_asks_with_moderation_and_everybody_can_use_it_with_chromium() {
    browses(include_str!("../browser/waiting.mjs"));
}

#[test]
fn operators_see_what_is_and_what_others_do_while_the_gateway_changes_with_chromium() {
    let mut running = gateway(50);
    let told = told(&running);
    let mut browsing = browsing(include_str!("../browser/desk.mjs"), &told.each_ref().map(String::as_str));
    let mut process = browsing.starts();
    let mut says = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    says.read_line(&mut line).unwrap();
    if line == "upgrade\n" {
        running.upgrade();
        process.stdin.take().unwrap().write_all(b"upgraded\n").unwrap();
    }
    let mut wrong = String::new();
    process.stderr.take().unwrap().read_to_string(&mut wrong).unwrap();
    assert!(process.wait().unwrap().success(), "{line}{wrong}");
    running.stop();
}
