//! Fifty thousand who join at the same time, on a slow disk, while the gateway is killed again and again.

use super::report::Section;
use super::scene::program;
use crate::bench::room::place::{Line, Place, waiting};
use anyhow::{Context, Result, ensure};
use programs::process::{LOAD_CORE, pinned};
use programs::run::run;
use std::collections::HashMap;
use std::fs;
use std::io::{BufReader, Read};
use std::process::{ChildStdout, Stdio};
use std::thread::{sleep, spawn};
use std::time::Duration;

const VISITORS: u64 = 50_000;
/// How often each joins, one time after the other.
const JOINS: u64 = 4;
const KILLS: u32 = 10;
/// How long it lives each time: long enough to start and to answer some.
const LIFE: Duration = Duration::from_millis(700);
const LONGER: Duration = Duration::from_millis(61);
/// Requests on a connection, fewer than a listener allows.
const REQUESTS: usize = 50_000;

/// A disk that takes 20 to 270 ms to make sure of anything: what stands between the program and the system call waits.
const SLOW_DISK: &str = r"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <unistd.h>
static void wait_for_disk(void) {
    static unsigned seed = 7;
    unsigned next = __atomic_add_fetch(&seed, 2654435761u, __ATOMIC_RELAXED);
    usleep(20000 + next % 250000);
}
#define SLOW(name, arguments, values)                                  \
    int name arguments {                                               \
        static int (*real) arguments;                                  \
        if (!real) real = (int (*) arguments)dlsym(RTLD_NEXT, #name);  \
        wait_for_disk();                                               \
        return real values;                                            \
    }
SLOW(msync, (void *start, size_t length, int flags), (start, length, flags))
SLOW(fsync, (int file), (file))
SLOW(fdatasync, (int file), (file))
";

pub(super) fn rush(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-slow-disk")?;
    let (source, library) = (place.folder.join("slow.c"), place.folder.join("slow.so"));
    fs::write(&source, SLOW_DISK)?;
    let (source, shared) = (source.display().to_string(), library.display().to_string());
    run("cc", &["-O1", "-shared", "-fPIC", "-o", &shared, &source, "-ldl"])?;
    place.preload(library);
    place.start()?;
    let mut command = pinned(LOAD_CORE, &program("bench-rush")?);
    command.arg(format!("127.0.0.1:{}", place.port)).args(["/wait", "Sample"]);
    command.args(["--visitors", &VISITORS.to_string(), "--joins", &JOINS.to_string()]);
    let mut visitors = command.stdout(Stdio::piped()).spawn()?;
    let told = visitors.stdout.take().context("it has an output")?;
    let told = spawn(move || places(told));
    let mut in_the_rush = 0;
    for number in 0..KILLS {
        sleep(LIFE + LONGER * number);
        in_the_rush += u32::from(visitors.try_wait()?.is_none());
        place.end("KILL")?;
        place.start()?;
    }
    ensure!(visitors.wait()?.success(), "visitors were told what does not hold");
    let known = told.join().ok().context("reading the places panicked")??;
    place.end("KILL")?;
    place.start()?;
    let changed = changed(&place, &known)?;
    let queue = waiting(place.port)?;
    let mut places: Vec<u64> = known.values().copied().collect();
    places.sort_unstable();
    let is_gapless = places.iter().copied().eq(1..=VISITORS * JOINS);
    let measured = format!(
        "{} places told, {} of them 1 to {} once each, {queue} in the room, {changed} lost or changed; killed {in_the_rush} times meanwhile",
        known.len(),
        if is_gapless { "all" } else { "not all" },
        VISITORS * JOINS,
    );
    section.row(
        format!("{VISITORS} visitors who join at the same time, {JOINS} times each, on a disk that takes 20 to 270 ms"),
        "unique, gapless, none lost or changed",
        measured,
        is_gapless && queue == VISITORS * JOINS && changed == 0 && in_the_rush == KILLS,
    );
    place.end("TERM")
}

/// Ids and places, as they were told.
fn places(told: ChildStdout) -> Result<HashMap<String, u64>> {
    let mut whole = String::new();
    BufReader::new(told).read_to_string(&mut whole)?;
    let pair = |line: &str| {
        let (id, place) = line.split_once(' ').context("an id and a place")?;
        Ok((id.to_owned(), place.parse()?))
    };
    whole.lines().map(pair).collect()
}

/// How many have another place than they were told, or none.
fn changed(place: &Place, known: &HashMap<String, u64>) -> Result<u64> {
    let mut line = Line::open(place.port)?;
    let mut changed = 0;
    for (number, (id, told)) in known.iter().enumerate() {
        if number % REQUESTS == REQUESTS - 1 {
            line = Line::open(place.port)?;
        }
        let found = line.place(id)?;
        changed += u64::from(found != Some(*told));
    }
    Ok(changed)
}
