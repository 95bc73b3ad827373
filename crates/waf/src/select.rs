//! Which rules are meant: by number, tag or message.

use problem::Finding;
use regex::bytes::Regex;

use crate::action::Actions;
use crate::context::Context;
use crate::seclang::Text;

/// Rules that a directive or a `ctl` means.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// By number: from the first to the last one of each range.
    Ids(Vec<(u64, u64)>),
    Tag(Box<Regex>),
    Message(Box<Regex>),
}

impl Selection {
    /// Reads what a directive or a `ctl` of this name, in small letters, selects by; nothing, if that is left out.
    pub(crate) fn read(name: &str, text: &Text, context: &mut Context) -> Result<Option<Self>, Finding> {
        let form = if name.ends_with("bytag") {
            Self::Tag
        } else if name.ends_with("bymsg") {
            Self::Message
        } else {
            return parse_ids(text).map(Self::Ids).map(Some);
        };
        let regex = context.compiled(text, patterns::compile(text.bytes()))?;
        Ok(regex.map(Box::new).map(form))
    }

    /// Whether a rule with these actions is meant.
    pub(crate) fn takes(&self, actions: &Actions) -> bool {
        match self {
            Self::Ids(ranges) => {
                actions.id.is_some_and(|id| ranges.iter().any(|(first, last)| (*first..=*last).contains(&id)))
            }
            Self::Tag(pattern) => actions.tags.iter().any(|tag| pattern.is_match(tag.shown().as_bytes())),
            Self::Message(pattern) => {
                actions.message.as_ref().is_some_and(|message| pattern.is_match(message.shown().as_bytes()))
            }
        }
    }
}

/// Reads `1`, `1-9`, or several of these parted by blanks or commas.
pub(crate) fn parse_ids(text: &Text) -> Result<Vec<(u64, u64)>, Finding> {
    let written = text.lossy();
    let mut ranges = Vec::new();
    for piece in written.split(|letter: char| letter.is_whitespace() || letter == ',').filter(|piece| !piece.is_empty())
    {
        let range = match piece.split_once('-') {
            Some((first, last)) => first.trim().parse().ok().zip(last.trim().parse().ok()),
            None => piece.parse().ok().map(|id| (id, id)),
        };
        match range.filter(|(first, last)| first <= last) {
            Some(range) => ranges.push(range),
            None => {
                return Err(text.finding(0, format!("`{piece}` is no number of a rule: write 942100 or 942100-942199")));
            }
        }
    }
    if ranges.is_empty() {
        return Err(text.finding(0, "names no rule: write its number"));
    }
    Ok(ranges)
}
