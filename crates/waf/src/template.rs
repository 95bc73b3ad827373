//! Texts with macros: `score %{tx.anomaly_score}`.

use problem::Finding;

use crate::context::Context;
use crate::seclang::Text;
use crate::target::Target;

/// A text whose macros are expanded when it is needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    pub(crate) parts: Box<[Part]>,
    /// The number of its text among those that need no macros.
    pub(crate) constant: Option<u32>,
}

/// A piece of such a text.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(Box<[u8]>),
    Macro(Box<Target>),
}

impl Template {
    /// A text as it is.
    pub(crate) fn plain(text: &[u8]) -> Self {
        Self {
            parts: if text.is_empty() { Box::default() } else { Box::new([Part::Text(text.into())]) },
            constant: None,
        }
    }

    /// Reads a text and what its macros name.
    pub(crate) fn read(text: &Text, context: &mut Context) -> Result<Self, Finding> {
        let mut template = Self::shown_only(text, context)?;
        template.constant = template.constant().map(|text| context.constants.number(text));
        Ok(template)
    }

    /// Reads a text that nobody asks for while rules run.
    pub(crate) fn shown_only(text: &Text, context: &mut Context) -> Result<Self, Finding> {
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        let mut at = 0;
        while let Some(byte) = text.byte(at) {
            let Some(end) = macro_end(text, at) else {
                plain.push(byte);
                at += 1;
                continue;
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain).into()));
            }
            let inner = text.slice(at + 2..end);
            let (name, selector) = match inner.split_once(b'.') {
                Some((name, selector)) => (name, Some(selector)),
                None => (inner, None),
            };
            parts.push(Part::Macro(Box::new(Target::named(&name, selector.as_ref(), context)?)));
            at = end + 1;
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self { parts: parts.into(), constant: None })
    }

    /// The text, if it has no macros.
    pub(crate) fn constant(&self) -> Option<&[u8]> {
        match &*self.parts {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text, with a mark where macros stand.
    pub(crate) fn shown(&self) -> String {
        let piece = |part: &Part| match part {
            Part::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Part::Macro(target) => format!("%{{{}}}", target.variable.name()),
        };
        self.parts.iter().map(piece).collect()
    }
}

/// Where the macro that begins at `at` has its closing brace.
fn macro_end(text: &Text, at: usize) -> Option<usize> {
    if text.byte(at) != Some(b'%') || text.byte(at + 1) != Some(b'{') {
        return None;
    }
    let rest = text.bytes().get(at + 2..)?;
    memchr::memchr(b'}', rest).filter(|length| *length > 0).map(|length| at + 2 + length)
}
