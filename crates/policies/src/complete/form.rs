//! Pairs of queries and of form bodies: those that are not asked for stay as they were written.

use percent_encoding::utf8_percent_encode;

use super::{Decide, Wrong};
use attributes::attribute::{form_decoded, pairs};
use attributes::template::COMPONENT;
use members::{Change, Presence};

/// Completes one pair.
pub(super) fn complete(written: &str, name: &str, decide: Decide<'_>) -> Result<String, Wrong> {
    let is_own = |pair: &str| form_decoded(pair.split_once('=').map_or(pair, |(name, _)| name)) == name;
    let presence =
        if pairs(written).any(|(known, _)| form_decoded(known) == name) { Presence::Present } else { Presence::Absent };
    let value = match decide(presence)? {
        Change::Leave => return Ok(written.to_owned()),
        Change::Set(value) => Some(value),
        Change::Remove => None,
    };
    let mut new: Vec<_> =
        written.split('&').filter(|pair| !pair.is_empty() && !is_own(pair)).map(str::to_owned).collect();
    if let Some(value) = value {
        new.push(format!("{}={}", utf8_percent_encode(name, COMPONENT), utf8_percent_encode(&value, COMPONENT)));
    }
    Ok(new.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_takes_the_place_of_all_of_its_name_however_they_are_written() {
        let done = |written: &str, change: &Change| complete(written, "a b", &|_| Ok(change.clone())).unwrap();
        let set = Change::Set("x&y=ü".to_owned());
        assert_eq!(done("c=%41+1&a+b=1&a%20b=2&d", &set), "c=%41+1&d&a%20b=x%26y%3D%C3%BC");
        assert_eq!(done("", &set), "a%20b=x%26y%3D%C3%BC");
        assert_eq!(done("a+b&c=1", &Change::Remove), "c=1");
        assert_eq!(done("a+b&&c=1", &Change::Leave), "a+b&&c=1");
    }
}
