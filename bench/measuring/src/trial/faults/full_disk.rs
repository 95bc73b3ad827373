//! The disk under the data folder is full for a while.

use super::{backend, share_of_core};
use crate::trial::report::Section;
use crate::trial::scene::{Arrival, Clients, Gateway, ask, clock, folder, milliseconds, program, statuses};
use anyhow::Result;
use programs::process::{PROXY_CORE, pinned};
use programs::run::run;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// A small disk, which is taken away when this is dropped.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &["-l", &self.0.display().to_string()]) {
            eprintln!("{} is still mounted: {error:#}", self.0.display());
        }
    }
}

/// Long enough to use up what was laid out before the disk was full.
const FULL: Duration = Duration::from_secs(40);

pub(crate) fn fill(section: &mut Section) -> Result<()> {
    eprintln!("full disk");
    let folder = folder("full-disk")?;
    let data = folder.join("data");
    fs::create_dir(&data)?;
    run("mount", &["-t", "tmpfs", "-o", "size=1g,mode=700", "trial", &data.display().to_string()])?;
    let disk = Disk(data.clone());
    let (_backend, port) = backend("full-disk")?;
    let parts = format!(
        "upstreams: {{backend: {{targets: [\"http://127.0.0.1:{port}\"]}}}}\n\
         apis: {{all: {{match: {{path: /}}, upstream: backend}}}}\nlogs: [{{file: {{path: data/access.log}}}}]\n"
    );
    let gateway = Gateway::start_as(pinned(PROXY_CORE, &program("vestibule")?), folder, &parts)?;

    let clients = Clients::start(&gateway.folder, gateway.port, "/1k", &["--connections", "32", "--seconds", "60"])?;
    sleep(Duration::from_secs(5));
    let ballast = data.join("ballast");
    fill_up(&ballast);
    sleep(FULL);
    let made = admin_while_full(&gateway);
    fs::remove_file(&ballast)?;
    let emptied = clock();
    let arrivals = clients.finish()?;
    tell(&arrivals, emptied, section);
    section.row("full disk: a company is created", "refused within 5 s", made.0, made.1);

    // The same again without load, to see what it does by itself.
    fill_up(&ballast);
    let share = share_of_core(&gateway.server, Duration::from_secs(5));
    section.row("full disk: processor time without load", "5 % of a core", format!("{share:.1} %"), share <= 5.0);
    fs::remove_file(&ballast)?;

    let good = arrivals.iter().filter(|arrival| arrival.status == 200).count() as u64;
    let counted = counted(&gateway, good);
    section.row("full disk: usage of all that was answered", good.to_string(), counted.to_string(), counted == good);
    drop(gateway);
    drop(disk);
    Ok(())
}

fn tell(arrivals: &[Arrival], emptied: Duration, section: &mut Section) {
    let counts = statuses(arrivals.iter());
    let refused = arrivals.iter().filter(|arrival| arrival.status == 503).count();
    let all = arrivals.iter().all(|arrival| matches!(arrival.status, 200) || arrival.has_retry_after);
    section.row(
        "full disk for 40 s, 32 clients that ask again and again: what cannot be counted is refused, all else answered",
        "200, or 503 with `Retry-After`",
        counts,
        all && refused > 0,
    );
    let last = arrivals.iter().filter(|arrival| arrival.status != 200).map(Arrival::answered).max();
    let again = last.map_or(Duration::ZERO, |last| last.saturating_sub(emptied));
    section.row("full disk: last refusal after there is room again", "2 s", milliseconds(again), again.as_secs() < 2);
}

/// What an operator gets who wants something to be written.
fn admin_while_full(gateway: &Gateway) -> (String, bool) {
    let token = fs::read_to_string(gateway.folder.join("data/admin.token")).unwrap_or_default();
    let body = format!("{{\"name\": \"acme\", \"title\": \"{}\"}}", "x".repeat(200));
    let header = format!(
        "Authorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        token.trim(),
        body.len()
    );
    let began = clock();
    let answer = ask(gateway.admin, "POST /companies", &header);
    let took = clock().saturating_sub(began);
    let health = gateway.ask_admin("/healthz").map(|(status, ..)| status).unwrap_or_default();
    match answer {
        // SQLite may still have had a page to write to.
        Ok((status, _)) => (
            format!("{status} after {}; /healthz {health}", milliseconds(took)),
            (status == 201 || status >= 500) && took.as_secs() < 5 && health == 200,
        ),
        Err(error) => (format!("{error:#}; /healthz {health}"), false),
    }
}

/// Writes until nothing more goes in.
fn fill_up(file: &Path) {
    let Ok(mut file) = fs::File::create(file) else { return };
    let mut piece: &[u8] = &[0; 8192];
    while !piece.is_empty() {
        match file.write(piece) {
            Ok(count) if count > 0 => {}
            _ => piece = piece.get(..piece.len() / 2).unwrap_or_default(),
        }
    }
}

/// The answers of status 200 in the usage totals, once they are as many as expected, or after a while.
pub(crate) fn counted(gateway: &Gateway, expected: u64) -> u64 {
    let mut counted = 0;
    for _ in 0..50 {
        let asked = gateway
            .ask_admin("/usage?by=status&from=2020-01-01&to=2099-01-01")
            .map(|(_, text, _)| text)
            .unwrap_or_default();
        let body = asked.split("\r\n\r\n").nth(1).unwrap_or_default();
        let usage: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let items = usage.get("items").and_then(|items| items.as_array()).cloned().unwrap_or_default();
        let of_good =
            |item: &&serde_json::Value| item.get("status").is_some_and(|status| status.to_string().contains('2'));
        counted = items.iter().find(of_good).and_then(|item| item.get("requests")?.as_u64()).unwrap_or(0);
        if counted >= expected {
            break;
        }
        sleep(Duration::from_millis(200));
    }
    counted
}
