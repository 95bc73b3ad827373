//! Files of rules, and those that they include.

use std::path::{Path, PathBuf};

use problem::{Finding, Place, Pointer};

use super::text::{Text, lines};

/// Reads files and what they include into one row of lines.
#[derive(Default)]
pub(crate) struct Reader {
    /// The files that are being read, each included by the one before it.
    open: Vec<PathBuf>,
    pub(crate) lines: Vec<Text>,
    pub(crate) findings: Vec<Finding>,
    /// What was read, and what will be once it is there: folders that wildcards look into, files that may be missing.
    pub(crate) files: Vec<PathBuf>,
    /// What is still to be read before a file.
    pub(crate) before: Option<Before>,
}

/// Text that is read before the first file whose name begins so.
pub(crate) struct Before {
    pub(crate) file: Box<str>,
    pub(crate) name: PathBuf,
    pub(crate) content: Box<[u8]>,
}

impl Reader {
    /// Reads every file that `pattern` names, in the order of their names; a pattern with wildcards may name none.
    pub(crate) fn read(&mut self, pattern: &Path) {
        match matching(pattern) {
            Ok(named) if named.files.is_empty() && named.folders.is_empty() => {
                self.findings.push(of_file(pattern, "there is no such file"));
            }
            Ok(named) => {
                self.files.extend(named.folders);
                named.files.iter().for_each(|file| self.read_file(file));
            }
            Err(cause) => self.findings.push(of_file(pattern, &format!("cannot be listed: {cause}"))),
        }
    }

    /// Takes lines that are in memory already, as if they stood in a file of that name.
    pub(crate) fn take(&mut self, name: &Path, content: &[u8]) {
        for line in lines(name, content) {
            match included(&line) {
                Some(include) => self.include(name, &include),
                None => self.lines.push(line),
            }
        }
    }

    fn read_file(&mut self, file: &Path) {
        if self.open.len() >= DEPTH || self.open.iter().any(|open| open == file) {
            return self.findings.push(of_file(file, "includes itself: take one of the Include lines out"));
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if let Some(before) = self.before.take_if(|before| name.starts_with(&*before.file)) {
            self.take(&before.name, &before.content);
        }
        self.files.push(file.to_owned());
        match std::fs::read(file) {
            Ok(content) => {
                self.open.push(file.to_owned());
                self.take(file, &content);
                self.open.pop();
            }
            Err(cause) => self.findings.push(of_file(file, &format!("cannot be read: {cause}"))),
        }
    }

    fn include(&mut self, file: &Path, include: &Include) {
        let Some(named) = &include.file else {
            return self.findings.push(include.line.finding(0, "names no file: write Include and a path"));
        };
        let path = file.parent().unwrap_or(Path::new("")).join(named.lossy());
        if has_wildcards(&path) || path.is_file() {
            self.read(&path);
        } else if include.optional {
            self.files.push(path);
        } else {
            let what = format!("there is no file {}: correct the path, or write IncludeOptional", path.display());
            self.findings.push(named.finding(0, what));
        }
    }
}

struct Include {
    line: Text,
    file: Option<Text>,
    optional: bool,
}

/// Whether a line includes others.
fn included(line: &Text) -> Option<Include> {
    let words = super::words(line).ok()?;
    let directive = words.first()?;
    let optional = directive.is("IncludeOptional");
    (optional || directive.is("Include")).then(|| Include { line: line.clone(), file: words.get(1).cloned(), optional })
}

/// What a path with wildcards in its parts names.
#[derive(Debug)]
pub struct Named {
    /// The files, sorted.
    pub files: Vec<PathBuf>,
    /// The folders in which further ones may come to be there; none without wildcards.
    pub folders: Vec<PathBuf>,
}

/// What a path names.
pub fn matching(pattern: &Path) -> std::io::Result<Named> {
    let (mut found, mut folders) = (vec![PathBuf::new()], Vec::new());
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !has_wildcards(Path::new(text.as_ref())) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder.as_path() };
            folders.push(folder.to_owned());
            let entries = match std::fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(cause),
            };
            for entry in entries {
                let entry = entry?;
                if fits(text.as_bytes(), entry.file_name().to_string_lossy().as_bytes()) {
                    next.push(folder.join(entry.file_name()));
                }
            }
        }
        next.sort();
        found = next;
    }
    found.retain(|path| path.is_file());
    Ok(Named { files: found, folders })
}

fn has_wildcards(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// Whether a name fits a pattern of `*`, `?` and `[a-z]`.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', after)), _) => {
            fits(after, name) || name.split_first().is_some_and(|(_, rest)| fits(pattern, rest))
        }
        (Some((b'?', after)), Some((_, rest))) => fits(after, rest),
        (Some((b'[', after)), Some((byte, rest))) => match after.iter().position(|closing| *closing == b']') {
            Some(end) => {
                let (class, after) = after.split_at(end);
                in_class(class, *byte) && fits(after.get(1..).unwrap_or_default(), rest)
            }
            None => false,
        },
        (Some((wanted, after)), Some((byte, rest))) => wanted == byte && fits(after, rest),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn in_class(class: &[u8], byte: u8) -> bool {
    let ranges = class.windows(3).any(|window| matches!(window, [from, b'-', to] if (*from..=*to).contains(&byte)));
    ranges || class.contains(&byte)
}

fn of_file(file: &Path, what: &str) -> Finding {
    let place = Place { file: file.display().to_string(), line: 1, column: 1 };
    Finding { place: Some(place), ..Finding::new(&Pointer::default(), what) }
}

/// How many files may include one another in a row.
const DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_fit_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.example", false),
            ("R?-[0-9]*", "RE-9x", true),
            ("R?-[0-9]*", "RE-x", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn included_files_stand_where_their_line_does_and_never_include_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(
            path("main.conf"),
            "SecA\nInclude rules/*.conf\nIncludeOptional no.conf\nInclude gone.conf\nSecB",
        )
        .unwrap();
        std::fs::create_dir(path("rules")).unwrap();
        std::fs::write(path("rules/2.conf"), "SecTwo").unwrap();
        std::fs::write(path("rules/1.conf"), "SecOne\nInclude ../rules/1.conf").unwrap();

        let mut reader = Reader::default();
        reader.read(&path("main.conf"));

        let read: Vec<_> = reader.lines.iter().map(Text::lossy).collect();
        assert_eq!(read.first().unwrap(), "SecA");
        assert_eq!(read.iter().filter(|line| *line == "SecTwo").count(), 1);
        let findings: Vec<_> = reader.findings.iter().map(ToString::to_string).collect();
        assert!(findings.iter().any(|finding| finding.contains("includes itself")), "{findings:?}");
        assert!(findings.iter().any(|finding| finding.contains("main.conf:4:9: there is no file")), "{findings:?}");
    }
}
