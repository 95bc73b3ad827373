//! Whether the detectors of injections judge as libinjection does: its C source, compiled here, is asked about the same values.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::requests::Chance;
use crate::tests;

/// Reads values, each behind its length in four bytes; writes for each whether it is a script, and the fingerprint of an
/// injection in eight bytes.
const ASKED: &str = r#"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libinjection.h"

int main(void) {
    uint32_t length;
    while (fread(&length, 4, 1, stdin) == 1) {
        char *value = malloc(length + 1);
        char said[9] = {0}, fingerprint[16] = {0};
        if (value == NULL || fread(value, 1, length, stdin) != length) return 1;
        said[0] = libinjection_xss(value, length) == 1;
        if (libinjection_sqli(value, length, fingerprint) == 1) memcpy(said + 1, fingerprint, 8);
        fwrite(said, 1, 9, stdout);
        free(value);
    }
    return 0;
}
"#;

/// Compares the verdicts on all lines of libinjection's own corpus, on what requests of the rule set's tests carry, and on so
/// many mutants of both. `source` is a clone of libinjection.
pub fn compare(folder: &Path, source: &Path, mutants: usize, seed: u64) -> Result<()> {
    let corpus = corpus(folder, source)?;
    let mut chance = Chance::seeded(seed);
    let mut values = corpus.clone();
    values.extend((0..mutants).map(|_| mutant(&corpus, &mut chance)));
    let said = asked(source, &values)?;
    let (mut injections, mut scripts, mut differ) = (0, 0, 0);
    for (value, said) in values.iter().zip(said.chunks_exact(9)) {
        let fingerprint = said[1..].split(|byte| *byte == 0).next().unwrap_or_default();
        let ours = payload::sqli(value).map_or_else(String::new, |found| found.as_str().to_owned());
        injections += usize::from(!fingerprint.is_empty());
        scripts += usize::from(said[0] == 1);
        if ours.as_bytes() != fingerprint || payload::xss(value) != (said[0] == 1) {
            differ += 1;
            println!(
                "differs: {} (there {:?}, script {})",
                value.escape_ascii(),
                fingerprint.escape_ascii().to_string(),
                said[0]
            );
        }
    }
    println!(
        "{} values, {} of them mutants: {injections} injections and {scripts} scripts there, {differ} differ here",
        values.len(),
        mutants
    );
    ensure!(differ == 0, "{differ} differ");
    Ok(())
}

/// Values as they stand and with their percent signs taken out, each once.
fn corpus(folder: &Path, source: &Path) -> Result<Vec<Vec<u8>>> {
    let mut values = BTreeSet::new();
    for place in ["data", "tests"] {
        for file in fs::read_dir(source.join(place)).with_context(|| format!("{place} of libinjection"))? {
            let file = file?.path();
            if file.extension().is_some_and(|end| end == "txt") {
                values.extend(fs::read(file)?.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
            }
        }
    }
    for head in tests::heads(folder)? {
        let parts = [&head.target, &head.body].into_iter().flat_map(|part| part.split(|byte| b"?&=".contains(byte)));
        values.extend(parts.map(<[u8]>::to_vec));
        values.extend(head.headers.iter().map(|(_, value)| value.clone()));
        values.insert(head.body);
    }
    let decoded: Vec<_> = values.iter().map(|value| decoded(value)).collect();
    values.extend(decoded);
    Ok(values.into_iter().collect())
}

fn decoded(value: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [byte, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        (rest, _) = match (byte, digits) {
            (b'%', Some(digit)) => (&after[2..], decoded.push(digit)),
            (b'+', _) => (after, decoded.push(b' ')),
            _ => (after, decoded.push(*byte)),
        };
    }
    decoded
}

/// One of them, changed at one to four places.
fn mutant(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    /// What tokens begin and end with.
    const ODD: &[u8] = b"'\"`\\/*-#;(){}<>=!&|@$.,:%^~[]+?_ \t\n\r\0\xa0xX0bBeEnNqQuU&";
    let pick = |chance: &mut Chance| &corpus[chance.below(corpus.len() as u64) as usize];
    let mut value = pick(chance).clone();
    for _ in 0..=chance.below(4) {
        let at = chance.below(value.len() as u64 + 1) as usize;
        match chance.below(6) {
            0 => {
                let other = pick(chance);
                let from = chance.below(other.len() as u64 + 1) as usize;
                let length = chance.below((other.len() - from) as u64 + 1) as usize;
                value.splice(at..at, other[from..from + length].iter().copied());
            }
            1 => value.truncate(at),
            2 => value.insert(at, chance.below(256) as u8),
            3 => value.insert(at, ODD[chance.below(ODD.len() as u64) as usize]),
            4 => drop(value.splice(at..(at + 1 + chance.below(3) as usize).min(value.len()), [])),
            _ => drop(value.splice(..at, [])),
        }
    }
    value.truncate(16 * 1024);
    value
}

/// What the C library says of each.
fn asked(source: &Path, values: &[Vec<u8>]) -> Result<Vec<u8>> {
    let place = std::env::temp_dir().join(format!("bench-waf-libinjection-{}", std::process::id()));
    fs::create_dir_all(&place)?;
    let (code, program) = (place.join("ask.c"), place.join("ask"));
    fs::write(&code, ASKED)?;
    let library = source.join("src");
    let parts = ["libinjection_sqli.c", "libinjection_html5.c", "libinjection_xss.c"].map(|part| library.join(part));
    let compiled = Command::new("cc")
        .args(["-O2", "-DLIBINJECTION_VERSION=\"compared\"", "-o"])
        .arg(&program)
        .arg("-I")
        .arg(&library)
        .arg(&code)
        .args(parts)
        .status()?;
    ensure!(compiled.success(), "cc cannot compile libinjection in {}", source.display());
    let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (mut into, mut out) = (child.stdin.take().context("no input")?, child.stdout.take().context("no output")?);
    let mut said = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let writing = scope.spawn(move || -> Result<()> {
            for value in values {
                into.write_all(&u32::try_from(value.len())?.to_ne_bytes())?;
                into.write_all(value)?;
            }
            Ok(())
        });
        out.read_to_end(&mut said)?;
        writing.join().map_err(|_panic| anyhow::anyhow!("writing panicked"))?
    })?;
    ensure!(child.wait()?.success() && said.len() == values.len() * 9, "libinjection ended early");
    fs::remove_dir_all(place)?;
    Ok(said)
}
