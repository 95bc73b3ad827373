//! What is asked of a gateway, and how its answer is shown.

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::show;

/// One question.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) body: Option<Value>,
    pub(crate) answer: Answer,
}

/// What the answer is.
pub(crate) enum Answer {
    /// A list, of which these members are shown. It may take several pages.
    List(&'static [&'static str]),
    /// One thing with all its members.
    One,
    /// A key that was just made, with its secret.
    Key,
    /// Nothing: it is done, which this says.
    Nothing(String),
    /// A text that is printed as it is.
    Text,
    /// Something of a form of its own.
    Special(fn(&Value) -> String),
    /// A list of a form of its own, all pages of it, in which something may be wrong.
    Checked(fn(&Value) -> Result<String, String>),
}

impl Call {
    /// Asks for something, at a path whose names are put between its steps: `["companies", "acme"]`.
    pub(crate) fn get(steps: &[&str], answer: Answer) -> Self {
        Self { method: Method::GET, target: path(steps), body: None, answer }
    }

    /// Changes something, with a body if there is one.
    pub(crate) fn post(steps: &[&str], body: Option<Value>, answer: Answer) -> Self {
        Self { method: Method::POST, target: path(steps), body, answer }
    }

    /// Replaces something.
    pub(crate) fn put(steps: &[&str], body: Value, answer: Answer) -> Self {
        Self { method: Method::PUT, target: path(steps), body: Some(body), answer }
    }

    /// Deletes something.
    pub(crate) fn delete(steps: &[&str], done: String) -> Self {
        Self { method: Method::DELETE, target: path(steps), body: None, answer: Answer::Nothing(done) }
    }

    /// Adds those members to the query that are there.
    pub(crate) fn with_query<'a>(mut self, members: impl IntoIterator<Item = (&'a str, Option<&'a String>)>) -> Self {
        for (name, value) in members {
            if let Some(value) = value {
                let mark = if self.target.contains('?') { '&' } else { '?' };
                self.target.push(mark);
                self.target.push_str(name);
                self.target.push('=');
                self.target.push_str(&encoded(value));
            }
        }
        self
    }

    /// The answer, for people; or what is wrong with it.
    pub(crate) fn shown(&self, answer: &Value) -> Result<String, String> {
        Ok(match &self.answer {
            Answer::List(columns) => show::table(columns, answer.get("items").unwrap_or(&Value::Null)),
            Answer::One => show::record(answer),
            Answer::Key => show::key(answer),
            Answer::Nothing(done) => format!("{done}\n"),
            Answer::Text => answer.as_str().unwrap_or_default().to_owned(),
            Answer::Special(show) => show(answer),
            Answer::Checked(show) => return show(answer),
        })
    }
}

fn path(steps: &[&str]) -> String {
    steps.iter().flat_map(|step| ["/".to_owned(), encoded(step)]).collect()
}

/// A text as one step of a path or one value of a query, whatever is in it.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Everything but the unreserved characters (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_step() {
        let call = Call::get(&["companies", "../a b?c"], Answer::One);
        assert_eq!(call.target, "/companies/..%2Fa%20b%3Fc");
    }

    #[test]
    fn a_query_has_the_members_that_are_there() {
        let day = "day,api&x".to_owned();
        let call =
            Call::get(&["usage"], Answer::One).with_query([("by", Some(&day)), ("app", None), ("to", Some(&day))]);
        assert_eq!(call.target, "/usage?by=day%2Capi%26x&to=day%2Capi%26x");
    }
}
