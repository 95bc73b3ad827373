//! `${env:NAME}` and `${file:PATH}`: values that do not stand in the document, because they are secrets or differ by place.

use std::io::Read;
use std::path::{Path, PathBuf};

use problem::{Finding, Pointer};

use super::source::Source;
use super::suggest;
use super::tree::{Kind, Node, Scalar, Secret, Written};

/// Where the values of references come from.
pub trait References {
    /// The variable of the environment, if it is set.
    fn variable(&self, name: &str) -> Result<String, String>;
    /// The text of a file, its last line break left out.
    fn file(&self, path: &Path) -> Result<String, String>;
}

/// This machine's environment and files.
#[derive(Clone, Debug)]
pub struct Machine {
    folder: PathBuf,
}

impl Machine {
    /// Files are named relative to the folder that `document` stands in.
    pub fn beside(document: &Path) -> Self {
        Self { folder: document.parent().map(Path::to_owned).unwrap_or_default() }
    }
}

impl References for Machine {
    #[expect(clippy::disallowed_methods, reason = "this is the loading of configuration that reads the environment")]
    fn variable(&self, name: &str) -> Result<String, String> {
        std::env::var(name).map_err(|error| match error {
            std::env::VarError::NotPresent => "the variable is not set".to_owned(),
            std::env::VarError::NotUnicode(_) => "the variable is not UTF-8".to_owned(),
        })
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let mut text = String::new();
        let file = std::fs::File::open(self.folder.join(path)).map_err(|error| error.to_string())?;
        file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
        if text.len() as u64 > MAX_FILE {
            return Err(format!("the file is larger than the {MAX_FILE} bytes that are read"));
        }
        let end = text.strip_suffix('\n').map_or(text.len(), |line| line.strip_suffix('\r').unwrap_or(line).len());
        text.truncate(end);
        Ok(text)
    }
}

/// For documents that come over the network: whoever sends one must not read this machine's files and environment by it.
/// So only those references have a value that another document, which serves, has already.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a, R> {
    serving: &'a Source,
    from: R,
}

impl<'a, R: References> Known<'a, R> {
    /// Looks up `from` there what `serving` refers to.
    pub fn of(serving: &'a Source, from: R) -> Self {
        Self { serving, from }
    }

    fn check(&self, kind: &str, name: &str) -> Result<(), String> {
        if self.serving.refers_to(&written(kind, name)) {
            return Ok(());
        }
        Err("a document that is sent has only the references of the configuration that serves; use `vestibule check` there"
            .to_owned())
    }
}

impl<R: References> References for Known<'_, R> {
    fn variable(&self, name: &str) -> Result<String, String> {
        self.check(ENVIRONMENT, name)?;
        self.from.variable(name)
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        self.check(FILE, &path.to_string_lossy())?;
        self.from.file(path)
    }
}

/// Puts the values of references into every scalar at and below `node`.
pub(crate) fn resolve(node: &mut Node, at: &Pointer, from: &impl References, findings: &mut Vec<Finding>) {
    match &mut node.kind {
        Kind::Scalar(scalar) => resolve_scalar(scalar, at, from, findings),
        Kind::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                resolve(item, &at.at(index), from, findings);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                resolve(&mut entry.value, &at.at(&entry.key), from, findings);
            }
        }
    }
}

fn resolve_scalar(scalar: &mut Scalar, at: &Pointer, from: &impl References, findings: &mut Vec<Finding>) {
    if !scalar.text.contains("${") {
        return;
    }
    let mut secrets = Vec::new();
    let mut refers = false;
    let mut resolved = String::with_capacity(scalar.text.len());
    for piece in pieces(&scalar.text) {
        match piece {
            Piece::Text(text) => resolved.push_str(text),
            Piece::Unknown(message) => findings.push(Finding::new(at, message)),
            Piece::Reference { kind, name } => {
                refers = true;
                match look_up(kind, name, from) {
                    Ok(value) => {
                        resolved.push_str(&value);
                        secrets.push(Secret { written: written(kind, name), value });
                    }
                    Err(why) => {
                        let reference = written(kind, name);
                        findings.push(Finding::new(at, format!("`{reference}` has no value: {why}")));
                    }
                }
            }
        }
    }
    let text = std::mem::replace(&mut scalar.text, resolved);
    scalar.reference = refers.then_some(Written { text, secrets });
}

/// A reference as it is written.
fn written(kind: &str, name: &str) -> String {
    format!("${{{kind}:{name}}}")
}

fn look_up(kind: &str, name: &str, from: &impl References) -> Result<String, String> {
    match kind {
        ENVIRONMENT => from.variable(name),
        _ => from.file(Path::new(name)),
    }
}

/// A part of a text with references.
enum Piece<'a> {
    /// As it is.
    Text(&'a str),
    /// To be looked up.
    Reference { kind: &'a str, name: &'a str },
    /// Looks like a reference and is none.
    Unknown(String),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            // `$${` stands for `${`.
            pieces.extend([Piece::Text(before), Piece::Text("${")]);
            rest = after;
            continue;
        }
        pieces.push(Piece::Text(before));
        let Some((inner, behind)) = after.split_once('}') else {
            pieces.push(Piece::Unknown("`${` has no `}`; write `$${` for the characters themselves".to_owned()));
            return pieces;
        };
        pieces.push(reference(inner));
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn reference(inner: &str) -> Piece<'_> {
    let help = "write `${env:NAME}` or `${file:PATH}`, or `$${` for the characters themselves";
    match inner.split_once(':') {
        Some((kind @ (ENVIRONMENT | FILE), name)) if !name.is_empty() => Piece::Reference { kind, name },
        Some((kind, _)) => match suggest::nearest(kind, [ENVIRONMENT, FILE]) {
            Some(near) if near != kind => {
                Piece::Unknown(format!("`${{{kind}:` is no reference; did you mean `${{{near}:`?"))
            }
            _ => Piece::Unknown(format!("`${{{inner}}}` is no reference; {help}")),
        },
        None => Piece::Unknown(format!("`${{{inner}}}` is no reference; {help}")),
    }
}

const ENVIRONMENT: &str = "env";
const FILE: &str = "file";
/// Bytes of a referenced file at most.
const MAX_FILE: u64 = 1 << 20;
