//! Texts with macros: `score %{tx.anomaly_score}`.

use problem::Finding;

use crate::context::Context;
use crate::seclang::Text;
use crate::target::Target;

/// A text whose macros are expanded when it is needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    pub(crate) parts: Box<[Part]>,
    /// The whole text, if it has macros in it.
    written: Box<[u8]>,
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
            ..Self::default()
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
        let has_macros = parts.iter().any(|part| matches!(part, Part::Macro(_)));
        let written = if has_macros { text.bytes().into() } else { Box::default() };
        Ok(Self { parts: parts.into(), written, constant: None })
    }

    /// The text, if it has no macros.
    pub(crate) fn constant(&self) -> Option<&[u8]> {
        match &*self.parts {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text as it is written, with the names of macros for their values.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(self.constant().unwrap_or(&self.written)).into_owned()
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
