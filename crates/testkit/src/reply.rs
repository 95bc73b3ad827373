//! An answer as it came.

use serde_json::Value;

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// The status line and the header lines, without the empty line.
    pub head: String,
    /// Its body, without transfer coding.
    pub body: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Vec<String>,
}

/// How the end of an answer's body is found.
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Reply {
    pub(crate) fn parse(head: &str) -> Self {
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer: {head:?}"));
        Self { status, head: head.trim_end().to_owned(), ..Self::default() }
    }

    pub(crate) fn framing(&self) -> Framing {
        if self.status < 200 || matches!(self.status, 204 | 304) {
            return Framing::None;
        }
        if self.header("transfer-encoding").is_some() {
            return Framing::Chunked;
        }
        match self.header("content-length") {
            Some(length) => Framing::Length(length.parse().expect("a length")),
            None => Framing::UntilClose,
        }
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as a problem of this status, by its code: what is behind the last slash of its `type`.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"));
        assert_eq!(problem["status"], self.status, "{problem}");
        let of_type = problem["type"].as_str().unwrap_or_else(|| panic!("no type: {problem}"));
        of_type.rsplit(['/', ':']).next().unwrap_or_default().to_owned()
    }
}

/// The value of the first header of this name in a head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
