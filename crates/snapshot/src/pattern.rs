//! Path patterns as operators write them: literal segments, `{name}` for one segment, and what may follow.

use std::fmt;
use std::sync::Arc;

/// A path pattern, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) segments: Vec<Segment>,
    pub(crate) reach: Reach,
}

/// What one segment of a path must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// This text, as it stands in the request.
    Literal(Box<str>),
    /// Anything, known by this name.
    Parameter(Arc<str>),
}

/// How far a pattern reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This path and no other.
    Exact,
    /// This path and everything below it.
    Below,
}

impl Pattern {
    /// Takes a pattern apart, or says what is wrong with it.
    pub(crate) fn parse(written: &str, reach: Reach) -> Result<Self, String> {
        let Some(path) = written.strip_prefix('/') else {
            return Err(format!("`{written}` does not begin with `/`"));
        };
        // A prefix reaches below with or without its last slash.
        let path = if reach == Reach::Below { path.strip_suffix('/').unwrap_or(path) } else { path };
        let mut segments = Vec::new();
        if !path.is_empty() || reach == Reach::Exact && written != "/" {
            for segment in path.split('/') {
                let parsed = parse_segment(segment, written)?;
                if let Segment::Parameter(name) = &parsed
                    && segments.contains(&parsed)
                {
                    return Err(format!("`{written}` names the parameter `{name}` twice"));
                }
                segments.push(parsed);
            }
        }
        Ok(Self { segments, reach })
    }

    /// The pattern of an operation that stands below this one.
    pub(crate) fn join(&self, below: &Self) -> Self {
        let segments = self.segments.iter().chain(&below.segments).cloned().collect();
        Self { segments, reach: below.reach }
    }
}

fn parse_segment(segment: &str, written: &str) -> Result<Segment, String> {
    if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(format!("`{{{name}}}` in `{written}` is no parameter; use letters, digits, `_` and `-`"));
        }
        return Ok(Segment::Parameter(name.into()));
    }
    if segment.contains(['{', '}', '*', '?', '#']) {
        return Err(format!(
            "`{segment}` in `{written}` mixes text and pattern; `{{name}}` stands for a whole segment"
        ));
    }
    if matches!(segment, "." | "..") {
        return Err(format!("`{written}` has a `{segment}` segment, which no request may have"));
    }
    Ok(Segment::Literal(segment.into()))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            f.write_str("/")?;
        }
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_read_and_shown_again() {
        for written in ["/", "/orders", "/orders/{id}/items", "/a/"] {
            assert_eq!(Pattern::parse(written, Reach::Exact).unwrap().to_string(), written);
        }
        assert_eq!(Pattern::parse("/orders/", Reach::Below).unwrap().to_string(), "/orders");
    }

    #[test]
    fn what_is_no_pattern_is_explained() {
        for (written, message) in [
            ("orders", "`orders` does not begin with `/`"),
            ("/a/{}", "`{}` in `/a/{}` is no parameter; use letters, digits, `_` and `-`"),
            ("/{a}/{a}", "`/{a}/{a}` names the parameter `a` twice"),
            ("/x{a}", "`x{a}` in `/x{a}` mixes text and pattern; `{name}` stands for a whole segment"),
            ("/a/../b", "`/a/../b` has a `..` segment, which no request may have"),
        ] {
            assert_eq!(Pattern::parse(written, Reach::Exact).unwrap_err(), message);
        }
    }
}
