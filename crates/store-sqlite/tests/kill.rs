//! What was answered survives `kill -9`: this program kills itself while it writes, and looks.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test without a harness, which is its own child")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use store::{
    Commit, Company, Kind, Listing, Registry, Row, UnixMicros, UsageQuery, UsageRow, UsageSource, UsageTotals, Write,
};
use store_sqlite::SqliteStore;

/// How often the writer is killed. It goes on where it was, so each time the file is one that was killed before.
const KILLS: usize = 5;

/// Answers that the writer gets before it is killed.
const ANSWERS: usize = 40;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("write-until-killed") {
        write(Path::new(&arguments.next().unwrap())).await;
    }
    // A test runner asks for names first, and for the ignored ones apart.
    let asked: Vec<_> = std::env::args().collect();
    if asked.iter().any(|argument| argument == "--list") {
        if !asked.iter().any(|argument| argument == "--ignored") {
            println!("what_was_answered_survives_kill: test");
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let mut answered = 0;
    for _ in 0..KILLS {
        answered = kill_a_writer(&path);
        let counted = look(&path).await;
        // One more may have been written than was told.
        assert!(answered <= counted && counted <= answered + 1, "{answered} were answered, {counted} are there");
    }
    println!("{answered} answers survived {KILLS} kills");
}

/// Writes a company and a batch of usage for ever, and tells the number of each once it is answered.
async fn write(path: &Path) -> ! {
    let store = SqliteStore::open(path).unwrap();
    let mut number = store.counted("n1/1").await.unwrap();
    loop {
        number += 1;
        let name = format!("company-{number}").parse().unwrap();
        let company = Company { name, title: String::new(), created: UnixMicros(number) };
        // The one before may have been written and not told.
        store.commit(Commit::of(Write::Create(Row::of(&company)))).await.ok();
        let source = UsageSource { segment: "n1/1".to_owned(), from: number - 1, offset: number };
        store.add(&[row()], &source).await.unwrap();
        println!("{number}");
    }
}

fn kill_a_writer(path: &Path) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut writer = command.arg("write-until-killed").arg(path).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let told = lines.by_ref().take(ANSWERS).last().unwrap().unwrap();
    writer.kill().unwrap();
    writer.wait().unwrap();
    // What it had told before it died was answered too.
    lines.map_while(Result::ok).last().unwrap_or(told).parse().unwrap()
}

/// How much is there; the parts of it must agree.
async fn look(path: &Path) -> u64 {
    let store = SqliteStore::open(path).unwrap();
    let counted = store.counted("n1/1").await.unwrap();
    let query = UsageQuery { hours: 0..9, limit: 9, ..UsageQuery::default() };
    let sums = store.query(&query).await.unwrap();
    assert_eq!(sums.iter().map(|row| row.requests).sum::<u64>(), counted);
    let companies = store.list(Listing::of(Kind::Company)).await.unwrap().len();
    assert!(u64::try_from(companies).unwrap() >= counted);
    assert_eq!(store.revision().await.unwrap().0, u64::try_from(companies).unwrap());
    counted
}

fn row() -> UsageRow {
    UsageRow {
        company: "acme".into(),
        app: "shop".into(),
        product: "gold".into(),
        api: "orders".into(),
        operation: "GET /".into(),
        hour: 1,
        status_class: 2,
        requests: 1,
        cost: 1,
        bytes_in: 0,
        bytes_out: 0,
        latency_micros: 1,
    }
}
