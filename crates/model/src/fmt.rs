//! One way to write a document: indentation, spacing and quotes are made the same everywhere; order and comments stay.
//!
//! Maps and lists in brackets stay in brackets where they fit on a line. What comes out is read again and compared with
//! what went in; if it meant anything else, nothing would come out.

mod layout;
mod print;

use problem::{Finding, Place, Pointer};

use self::layout::Layout;
use crate::read::yaml;

/// The text of a document in canonical form. It need not fit the schema, but it must be readable.
pub fn format(text: &str, file: &str) -> Result<String, Vec<Finding>> {
    let (tree, findings) = yaml::parse(text, file);
    if !findings.is_empty() {
        return Err(findings);
    }
    let Some(tree) = tree else { return Ok(text.to_owned()) };
    let layout = Layout::of(text).map_err(|(line, message)| vec![finding(file, line, message)])?;
    let comments = comments(&layout);
    let formatted = print::print(layout);

    let (again, findings) = yaml::parse(&formatted, file);
    let same_values = findings.is_empty() && again.is_some_and(|again| again.value() == tree.value());
    let same_comments = Layout::of(&formatted).is_ok_and(|layout| self::comments(&layout) == comments);
    if !same_values || !same_comments {
        return Err(vec![finding(file, 1, "holds something that cannot be formatted without changing it")]);
    }
    Ok(formatted)
}

fn comments(layout: &Layout) -> Vec<String> {
    layout.comments.iter().map(|comment| comment.text.clone()).collect()
}

fn finding(file: &str, line: usize, message: &str) -> Finding {
    let place = Place { file: file.to_owned(), line, column: 1 };
    Finding { at: Pointer::default(), place: Some(place), message: message.to_owned() }
}
