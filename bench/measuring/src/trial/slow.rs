//! `cargo xtask trial slow`: 1,300 slow connections of every kind at once, for a minute.

use super::report::Section;
use super::stage::Stage;
use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;

/// Connections of each of the eighteen kinds.
const EACH: u32 = 73;
/// How long they are held, unless they are cut.
const SECONDS: u32 = 60;
/// Idle connections are cut within the bar because this is written; the default is a minute, as other proxies have it.
const LIMITS: &str = "idle_time: 30s";

/// When all must be cut.
const CUT_WITHIN: f64 = 45.0;
/// Bytes that a connection may cost.
const BYTES_EACH: u64 = 32 * 1024;
const P99: Duration = Duration::from_millis(60);

/// How connections of one kind ended.
struct Fate {
    name: String,
    opened: usize,
    /// Seconds after which each was cut.
    cut: Vec<f64>,
}

pub(crate) fn run() -> Result<Section> {
    let stage = Stage::open("slow", LIMITS)?;
    let words = ["slow", &stage.plain(), &stage.tls(), &stage.certificate(), "--each", &EACH.to_string()];
    let seen = stage.suffer(&words, SECONDS)?;
    let fates = fates(&seen.told)?;
    let opened: usize = fates.iter().map(|fate| fate.opened).sum();
    let cut: usize = fates.iter().map(|fate| fate.cut.len()).sum();

    let mut section = Section::new(
        "Slow clients",
        format!(
            "{opened} connections at once, {EACH} of each kind, before a gateway with one worker, whose backend reads \
             bodies whole before it answers. The document says `limits: {{{LIMITS}}}`; all other limits are the \
             defaults. Beside them a client sends 50 requests a second. All run on one machine, the gateway on a core of \
             its own."
        ),
    );
    for fate in &fates {
        section.row(&fate.name, "all cut within 45 s", fate.text(), fate.is_cut());
    }
    let last = fates.iter().flat_map(|fate| &fate.cut).copied().fold(0.0, f64::max);
    let all_cut = fates.iter().all(Fate::is_cut);
    section.row("all together", "all cut within 45 s", format!("{cut} of {opened} within {last:.1} s"), all_cut);
    let each = seen.grown / opened.max(1) as u64;
    let kib = |bytes: u64| bytes / 1024;
    section.row(
        "memory of the gateway",
        "≤ 32 KiB a connection",
        format!("{} KiB, at most {} MiB for all", kib(each), kib(seen.grown) / 1024),
        each <= BYTES_EACH,
    );
    let beside = &seen.beside;
    let is_well = beside.failed == 0 && beside.answered > 0 && beside.p99 <= P99;
    section.row("a normal client beside them", "0 failures, p99 ≤ 60 ms", beside.text(), is_well);
    Ok(section)
}

impl Fate {
    fn is_cut(&self) -> bool {
        self.opened > 0 && self.cut.len() == self.opened && self.cut.iter().all(|after| *after <= CUT_WITHIN)
    }

    fn text(&self) -> String {
        let first = self.cut.iter().copied().fold(f64::INFINITY, f64::min);
        let last = self.cut.iter().copied().fold(0.0, f64::max);
        let kept = self.opened - self.cut.len();
        if self.cut.is_empty() {
            return format!("none of {kept} was cut");
        }
        let kept = if kept == 0 { String::new() } else { format!("; {kept} were not") };
        format!("cut after {first:.1} to {last:.1} s{kept}")
    }
}

fn fates(told: &Value) -> Result<Vec<Fate>> {
    let kinds = told.as_object().context("no figures")?;
    let fate = |(name, figures): (&String, &Value)| {
        let cut = figures.get("cut").and_then(Value::as_array)?.iter().filter_map(Value::as_f64).collect::<Vec<_>>();
        let kept = usize::try_from(figures.get("kept")?.as_u64()?).ok()?;
        Some(Fate { name: name.clone(), opened: cut.len() + kept, cut })
    };
    kinds.iter().map(fate).collect::<Option<_>>().context("figures of another form")
}
