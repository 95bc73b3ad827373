//! `cargo xtask layers`: the tables of ARCHITECTURE.md against what cargo says, and lengths of files and crates.

use anyhow::{Context, Result, bail};
use programs::run::{output, root};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The heading under which the tables stand.
const HEADING: &str = "## The workspace";
/// Longest source file, in lines.
const FILE_LINES: usize = 500;
/// Longest crate, in lines.
const CRATE_LINES: usize = 9_000;

/// Checks all crates of the workspace, and names every finding.
pub(crate) fn layers() -> Result<()> {
    let rules = Rules::read(&fs::read_to_string(root()?.join("ARCHITECTURE.md"))?)?;
    let metadata = output("cargo", &["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    let crates = crates(&serde_json::from_str(&metadata)?)?;

    let mut findings = rules.findings(&crates);
    for each in &crates {
        findings.extend(lengths(each)?);
    }
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    println!("layers: {} crates, as ARCHITECTURE.md says", crates.len());
    Ok(())
}

/// A crate of the workspace.
#[derive(Debug)]
struct Crate {
    name: String,
    folder: PathBuf,
    /// Names of what it depends on.
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Shipped,
    ForTests,
}

/// What ARCHITECTURE.md says.
#[derive(Debug)]
struct Rules {
    levels: BTreeMap<String, Level>,
    /// A crate, and what it must not depend on.
    forbidden: Vec<(String, Vec<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    At(u32),
    /// Depends on everything; nothing depends on it.
    Top,
}

impl Rules {
    /// Reads the tables of the section "The workspace".
    fn read(markdown: &str) -> Result<Self> {
        let section = markdown.lines().skip_while(|line| *line != HEADING).skip(1);
        let mut levels = BTreeMap::new();
        let mut forbidden = Vec::new();
        for line in section.take_while(|line| !line.starts_with("## ")) {
            let Some(row) = line.strip_prefix('|') else { continue };
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [first, second, ..] = cells.as_slice() else { bail!("a row has too few cells: {line}") };
            if first.starts_with('`') {
                forbidden.extend(quoted(first).into_iter().map(|name| (name, quoted(second))));
            } else if let Some(level) = Level::read(first) {
                levels.extend(quoted(second).into_iter().map(|name| (name, level)));
            }
        }
        if levels.is_empty() {
            bail!("ARCHITECTURE.md has no table of levels under `{HEADING}`");
        }
        Ok(Self { levels, forbidden })
    }

    fn findings(&self, crates: &[Crate]) -> Vec<String> {
        let mut findings = Vec::new();
        for Crate { name, dependencies, .. } in crates {
            let Some(level) = self.levels.get(name) else {
                findings.push(format!("`{name}` has no level in ARCHITECTURE.md"));
                continue;
            };
            for used in dependencies {
                if self.levels.get(&used.name).is_some_and(|below| !level.may_use(*below)) {
                    findings.push(format!("`{name}` must not depend on `{}`, which is not below it", used.name));
                }
                if used.kind == Kind::Shipped && self.forbids(name, &used.name) {
                    findings.push(format!("`{name}` must not depend on `{}`", used.name));
                }
            }
        }
        findings
    }

    fn forbids(&self, user: &str, dependency: &str) -> bool {
        self.forbidden.iter().any(|(name, others)| name == user && others.iter().any(|other| other == dependency))
    }
}

impl Level {
    /// Reads the first cell of a row; headings and rulers are no level.
    fn read(cell: &str) -> Option<Self> {
        if cell == "–" { Some(Self::Top) } else { cell.parse().ok().map(Self::At) }
    }

    fn may_use(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Top) => false,
            (Self::Top, Self::At(_)) => true,
            (Self::At(own), Self::At(other)) => other < own,
        }
    }
}

/// The words between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The crates of the workspace from cargo's metadata.
fn crates(metadata: &Value) -> Result<Vec<Crate>> {
    let packages = metadata.get("packages").and_then(Value::as_array).context("cargo names no packages")?;
    packages.iter().map(|package| read_crate(package).context("cargo describes a package in an unknown way")).collect()
}

fn read_crate(package: &Value) -> Option<Crate> {
    let dependencies = package.get("dependencies")?.as_array()?.iter().map(|used| {
        let kind = if used.get("kind")?.as_str() == Some("dev") { Kind::ForTests } else { Kind::Shipped };
        Some(Dependency { name: used.get("name")?.as_str()?.to_owned(), kind })
    });
    Some(Crate {
        name: package.get("name")?.as_str()?.to_owned(),
        folder: Path::new(package.get("manifest_path")?.as_str()?).parent()?.to_owned(),
        dependencies: dependencies.collect::<Option<_>>()?,
    })
}

/// What is too long in a crate.
fn lengths(each: &Crate) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut sum = 0;
    for file in sources(&each.folder)? {
        let lines = fs::read_to_string(&file)?.lines().count();
        sum += lines;
        if lines > FILE_LINES {
            findings.push(format!("{} has {lines} lines, more than {FILE_LINES}", file.display()));
        }
    }
    if sum > CRATE_LINES {
        findings.push(format!("`{}` has {sum} lines, more than {CRATE_LINES}", each.name));
    }
    Ok(findings)
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &str = "\
# Architecture
| 9 | `elsewhere` | is not read |
## The workspace
| level | crate (`crates/NAME`) | what |
|---|---|---|
| 0 | `problem`, `model` | base |
| 1 | `pipeline` | hooks |
| – | `vestibule` | binary |

| crate | must not depend on | because |
|---|---|---|
| `pipeline` | `hyper` | no input or output |
## Next
| 1 | `later` | is not read |
";

    fn findings(name: &str, used: &str, kind: Kind) -> Vec<String> {
        let dependencies = vec![Dependency { name: used.to_owned(), kind }];
        let each = Crate { name: name.to_owned(), folder: PathBuf::new(), dependencies };
        Rules::read(TABLES).unwrap().findings(&[each])
    }

    #[test]
    fn only_the_section_is_read() {
        let rules = Rules::read(TABLES).unwrap();
        let names: Vec<_> = rules.levels.keys().map(String::as_str).collect();
        assert_eq!(names, ["model", "pipeline", "problem", "vestibule"]);
        assert_eq!(rules.forbidden, [("pipeline".to_owned(), vec!["hyper".to_owned()])]);
    }

    #[test]
    fn a_crate_uses_lower_levels_only_even_in_tests() {
        assert!(findings("pipeline", "problem", Kind::Shipped).is_empty());
        assert!(findings("vestibule", "pipeline", Kind::Shipped).is_empty());
        for (name, used) in [("problem", "pipeline"), ("problem", "model"), ("pipeline", "vestibule")] {
            let expected = format!("`{name}` must not depend on `{used}`, which is not below it");
            assert_eq!(findings(name, used, Kind::ForTests), [expected]);
        }
    }

    #[test]
    fn what_is_forbidden_is_allowed_in_tests() {
        assert_eq!(findings("pipeline", "hyper", Kind::Shipped), ["`pipeline` must not depend on `hyper`"]);
        assert!(findings("pipeline", "hyper", Kind::ForTests).is_empty());
    }

    #[test]
    fn a_crate_without_a_row_is_a_finding() {
        assert_eq!(findings("stranger", "problem", Kind::Shipped), ["`stranger` has no level in ARCHITECTURE.md"]);
    }
}
