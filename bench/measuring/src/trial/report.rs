//! The report of trials: a section each, written again when its trial has run again.

use std::fmt::Write;

const HEAD: &str = "\
# Hard times

What a gateway went through, and what its clients noticed. Each section is written by `cargo xtask trial NAME`, on one
machine over loopback; a bar is what was promised, beside what was measured.
";

/// What one trial found.
#[derive(Debug, Default)]
pub(crate) struct Section {
    title: String,
    /// How it was done, in a few sentences.
    how: String,
    rows: Vec<Row>,
}

/// A promise, and what became of it.
#[derive(Debug)]
struct Row {
    what: String,
    bar: String,
    measured: String,
    is_kept: bool,
}

impl Section {
    pub(crate) fn new(title: impl Into<String>, how: impl Into<String>) -> Self {
        Self { title: title.into(), how: how.into(), rows: Vec::new() }
    }

    /// Adds a promise with its figure; `is_kept` says whether the bar was reached.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        bar: impl Into<String>,
        measured: impl Into<String>,
        is_kept: bool,
    ) {
        self.rows.push(Row { what: what.into(), bar: bar.into(), measured: measured.into(), is_kept });
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("## {}\n\n{}\n\n| what | bar | measured | |\n|---|---|---|---|\n", self.title, self.how);
        for Row { what, bar, measured, is_kept } in &self.rows {
            let verdict = if *is_kept { "reached" } else { "**missed**" };
            // Writing into a string does not fail.
            let _written = writeln!(text, "| {what} | {bar} | {measured} | {verdict} |");
        }
        text
    }
}

/// A report with one section in its place, all others as they were.
pub(crate) fn with(before: &str, name: &str, section: &Section, order: &[&str]) -> String {
    let mut report = HEAD.to_owned();
    for known in order {
        let text = if *known == name { Some(section.text()) } else { section_of(before, known).map(str::to_owned) };
        if let Some(text) = text {
            let _written = write!(report, "\n{}\n{}\n", mark(known), text.trim_end());
        }
    }
    report
}

fn section_of<'a>(report: &'a str, name: &str) -> Option<&'a str> {
    let (_, from) = report.split_once(&mark(name))?;
    let end = from.find("<!-- trial ").unwrap_or(from.len());
    from.get(..end).map(str::trim)
}

fn mark(name: &str) -> String {
    format!("<!-- trial {name} -->")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_in_its_place_and_others_stay() {
        let order = ["one", "two"];
        let second = with("", "two", &Section::new("Two", "How."), &order);
        let both = with(&second, "one", &Section::new("One", "How."), &order);
        let mut again = Section::new("Two", "Again.");
        again.row("what", "0", "1", false);
        let again = with(&both, "two", &again, &order);

        assert!(both.find("## One") < both.find("## Two"));
        assert!(again.contains("## One") && again.contains("Again.") && !again.contains("## Two\n\nHow."));
        assert!(again.contains("| what | 0 | 1 | **missed** |"));
    }
}
