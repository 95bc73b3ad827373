//! `cargo xtask docs`: files that are generated from the code and checked in.

use anyhow::{Context, Result, bail};
use programs::run::{output, root};
use std::fs;

/// A checked-in file, and the command of the binary that prints it.
struct Generated {
    /// From the workspace's root.
    file: &'static str,
    /// Arguments for `vestibule`, whose standard output is the file.
    printed_by: &'static [&'static str],
}

/// All generated files.
const GENERATED: &[Generated] = &[
    Generated { file: "vestibule.schema.json", printed_by: &["schema"] },
    Generated { file: "docs/policies.md", printed_by: &["schema", "--reference"] },
];

/// Writes every generated file again.
pub(crate) fn write() -> Result<()> {
    for Generated { file, printed_by } in GENERATED {
        fs::write(root()?.join(file), print(printed_by)?).with_context(|| format!("could not write {file}"))?;
        println!("wrote {file}");
    }
    Ok(())
}

/// Fails when a generated file is not what would be written now.
pub(crate) fn check() -> Result<()> {
    let mut stale = Vec::new();
    for Generated { file, printed_by } in GENERATED {
        if fs::read_to_string(root()?.join(file)).unwrap_or_default() != print(printed_by)? {
            stale.push(*file);
        }
    }
    if !stale.is_empty() {
        bail!("not up to date: {}; run `cargo xtask docs`", stale.join(", "));
    }
    Ok(())
}

fn print(printed_by: &[&str]) -> Result<String> {
    let cargo = ["run", "-q", "-p", "vestibule", "--"];
    output("cargo", &[&cargo, printed_by].concat())
}
