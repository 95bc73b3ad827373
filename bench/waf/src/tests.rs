//! Requests of the regression tests of the rule set, as they are and mutated.

use std::path::Path;

use anyhow::{Result, ensure};
use ftw::{Head, Read, parse, raw, read};

use crate::requests::Chance;

/// Requests that are meant to match, from all files of tests, so many and evenly spread.
pub fn attacks(folder: &Path, count: usize) -> Result<Vec<Head>> {
    let mut all = Vec::new();
    for file in files(folder)? {
        let Ok(tests) = read(&std::fs::read_to_string(file)?) else { continue };
        for stage in tests.tests.iter().flat_map(|test| &test.stages) {
            if let (false, Read::Request(head)) = (stage.expected.expect_ids.is_empty(), parse(&raw(&stage.input))) {
                all.push(*head);
            }
        }
    }
    ensure!(all.len() >= count, "only {} tests in {}", all.len(), folder.display());
    Ok((0..count).map(|place| all[place * all.len() / count].clone()).collect())
}

/// All requests that are meant to match, with the group of the rule that they are about.
pub fn meant(folder: &Path) -> Result<Vec<(String, Head)>> {
    let mut meant = Vec::new();
    for file in files(folder)? {
        let group = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let Ok(tests) = read(&std::fs::read_to_string(file)?) else { continue };
        for stage in tests.tests.iter().flat_map(|test| &test.stages) {
            if let (false, Read::Request(head)) = (stage.expected.expect_ids.is_empty(), parse(&raw(&stage.input))) {
                meant.push((group.clone(), *head));
            }
        }
    }
    Ok(meant)
}

/// All requests of tests that rules see.
pub fn heads(folder: &Path) -> Result<Vec<Head>> {
    let mut heads = Vec::new();
    for file in files(folder)? {
        let Ok(tests) = read(&std::fs::read_to_string(file)?) else { continue };
        for stage in tests.tests.iter().flat_map(|test| &test.stages) {
            if let Read::Request(head) = parse(&raw(&stage.input)) {
                heads.push(*head);
            }
        }
    }
    ensure!(!heads.is_empty(), "there are no tests in {}", folder.display());
    Ok(heads)
}

fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for group in std::fs::read_dir(folder.join("tests"))? {
        let group = group?.path();
        if group.is_dir() {
            for file in std::fs::read_dir(group)? {
                files.push(file?.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Changes a request at one to three places.
pub fn mutated(heads: &[Head], chance: &mut Chance) -> Head {
    let mut head = heads[chance.below(heads.len() as u64) as usize].clone();
    let other = &heads[chance.below(heads.len() as u64) as usize];
    for _ in 0..=chance.below(3) {
        mutate(&mut head, other, chance);
    }
    head
}

fn mutate(head: &mut Head, other: &Head, chance: &mut Chance) {
    let place = match chance.below(4) {
        1 if !head.body.is_empty() => &mut head.body,
        2 | 3 if !head.headers.is_empty() => {
            let at = chance.below(head.headers.len() as u64) as usize;
            &mut head.headers[at].1
        }
        _ => &mut head.target,
    };
    let source = [&other.target, &other.body][chance.below(2) as usize];
    let at = chance.below(place.len() as u64 + 1) as usize;
    match chance.below(6) {
        0 => {
            let from = chance.below(source.len() as u64 + 1) as usize;
            let length = chance.below((source.len() - from) as u64 + 1) as usize;
            place.splice(at..at, source[from..from + length].iter().copied());
        }
        1 => place.truncate(at),
        2 => place.insert(at, chance.below(256) as u8),
        3 => {
            if let Some(byte) = place.get(at).copied() {
                place.splice(at..=at, format!("%{byte:02x}").into_bytes());
            }
        }
        4 => {
            if let Some(byte) = place.get_mut(at) {
                *byte = if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
            }
        }
        _ => {
            let tail = place[at..].to_vec();
            place.extend(tail.into_iter().take(200));
        }
    }
}

/// The bytes that are sent for a request: its body has the length that it says, and the connection is closed.
pub fn written(head: &Head) -> Vec<u8> {
    let mut raw = [&head.method, &b" "[..], &head.target, b" ", &head.protocol, b"\r\n"].concat();
    let mut has_length = false;
    for (name, value) in &head.headers {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("connection") || is("transfer-encoding") {
            continue;
        }
        let length = head.body.len().to_string().into_bytes();
        has_length |= is("content-length");
        let value = if is("content-length") { &length } else { value };
        raw.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
    }
    if !has_length && !head.body.is_empty() {
        raw.extend(format!("Content-Length: {}\r\n", head.body.len()).into_bytes());
    }
    raw.extend_from_slice(b"Connection: close\r\n\r\n");
    raw.extend_from_slice(&head.body);
    raw
}
