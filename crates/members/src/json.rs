//! Members of JSON bodies: everything but the member itself stays as it was, byte for byte.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Change, Decide, Presence, Wrong};

/// The names that lead to a member, the outermost first; never none.
pub type Path = Vec<String>;

/// Completes one member of a document. The value that is decided on is JSON.
pub fn complete<E>(document: &str, path: &[String], decide: Decide<'_, E>) -> Result<String, Wrong<E>> {
    let mut edits = Edits { document, edits: Vec::new() };
    edits.object(document, path, decide)?;
    Ok(edits.applied())
}

/// What to write in place of parts of a document, in their order.
struct Edits<'a> {
    document: &'a str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    fn object<E>(&mut self, object: &'a str, path: &[String], decide: Decide<'_, E>) -> Result<(), Wrong<E>> {
        let Some((name, below)) = path.split_first() else { return Ok(()) };
        let members: Members<'_> = serde_json::from_str(object)
            .map_err(|error| Wrong::Unfit(format!("It is no JSON object with `{name}` in it: {error}.")))?;
        let own: Vec<_> = members.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.get()).collect();
        if own.is_empty() {
            if let Change::Set(value) = decide(Presence::Absent)? {
                self.insert(object, &members, name, &nested(below, value));
            }
            return Ok(());
        }
        if !below.is_empty() {
            return own.into_iter().try_for_each(|value| self.object(value, below, decide));
        }
        match decide(Presence::Present)? {
            Change::Leave => {}
            // All of them: of several members of one name, some readers take the first and some the last.
            Change::Set(value) => {
                self.edits.extend(own.into_iter().map(|old| (range(self.document, old), value.clone())));
            }
            Change::Remove => self.remove(object, &members, name),
        }
        Ok(())
    }

    fn insert(&mut self, object: &str, members: &Members<'_>, name: &str, value: &str) {
        let name = serde_json::Value::from(name);
        if let Some((_, last)) = members.0.last() {
            let end = range(self.document, last.get()).end;
            self.edits.push((end..end, format!(",{name}:{value}")));
        } else {
            // The braces alone; white space around them is nobody's.
            let object = range(self.document, object.trim());
            self.edits.push((object, format!("{{{name}:{value}}}")));
        }
    }

    fn remove(&mut self, object: &str, members: &Members<'_>, name: &str) {
        let object = range(self.document, object.trim());
        let mut before = object.start + 1;
        let mut kept = Vec::new();
        for (known, value) in &members.0 {
            let end = range(self.document, value.get()).end;
            if known != name {
                let member = self.document.get(before..end).unwrap_or_default();
                kept.push(member.trim_start_matches([',', ' ', '\t', '\r', '\n']));
            }
            before = end;
        }
        self.edits.push((object, format!("{{{}}}", kept.join(","))));
    }

    fn applied(self) -> String {
        let mut new = String::with_capacity(self.document.len() + 64);
        let mut done = 0;
        for (range, text) in &self.edits {
            new.push_str(self.document.get(done..range.start).unwrap_or_default());
            new.push_str(text);
            done = range.end;
        }
        new.push_str(self.document.get(done..).unwrap_or_default());
        new
    }
}

/// Where a part of a document stands in it.
fn range(document: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(document.as_ptr().addr());
    start..start + part.len()
}

/// A value within the objects that are missing around it.
fn nested(names: &[String], value: String) -> String {
    names.iter().rev().fold(value, |value, name| format!("{{{}:{value}}}", serde_json::Value::from(name.as_str())))
}

/// An object's members in their order, several of one name too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reads)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn complete(document: &str, path: &[String], decide: Decide<'_, ()>) -> Result<String, Wrong<()>> {
        super::complete(document, path, decide)
    }

    fn path(text: &str) -> Path {
        text.split('/').map(str::to_owned).collect()
    }

    fn set(document: &str, member: &str, value: &str) -> String {
        complete(document, &path(member), &|_| Ok(Change::Set(value.to_owned()))).unwrap()
    }

    #[test]
    fn what_is_not_the_member_stays_byte_for_byte() {
        for (document, member, expected) in [
            (
                r#"{ "b" : 1.0e2 , "a":"x","big":12345678901234567890.00 }"#,
                "a",
                r#"{ "b" : 1.0e2 , "a":7,"big":12345678901234567890.00 }"#,
            ),
            (r#"{ "b" : "\u0041" }"#, "a", r#"{ "b" : "\u0041","a":7 }"#),
            (" {} ", "a", " {\"a\":7} "),
            (" { \n } ", "a/b", " {\"a\":{\"b\":7}} "),
            (r#"{"a": {"c": [1, 2]} , "d": 0}"#, "a/b", r#"{"a": {"c": [1, 2],"b":7} , "d": 0}"#),
            (r#"{"a":1,"\u0061":2}"#, "a", r#"{"a":7,"\u0061":7}"#),
            (r#"{"a":{"b":{}},"a":{"b":[]}}"#, "a/b", r#"{"a":{"b":7},"a":{"b":7}}"#),
        ] {
            assert_eq!(set(document, member, "7"), expected);
        }
    }

    #[test]
    fn a_member_that_is_kept_or_removed_leaves_the_others_alone() {
        let removed =
            |document: &str, member: &str| complete(document, &path(member), &|_| Ok(Change::Remove)).unwrap();
        assert_eq!(removed(r#"{"a":1, "b" : 2 ,"a":3}"#, "a"), r#"{"b" : 2}"#);
        assert_eq!(removed(r#"{"c":{"a":1,"b":2,"d":[3]}}"#, "c/b"), r#"{"c":{"a":1,"d":[3]}}"#);
        assert_eq!(removed(r#"{"c": 1}"#, "a"), r#"{"c": 1}"#);
        let kept = complete(r#"{ "a": 1 }"#, &path("a"), &|_| Ok(Change::Leave)).unwrap();
        assert_eq!(kept, r#"{ "a": 1 }"#);
    }

    #[test]
    fn what_is_no_object_is_unfit() {
        for (document, member) in [
            ("", "a"),
            ("[1]", "a"),
            (r#"{"a":1}"#, "a/b"),
            (r#"{"a":[{}]}"#, "a/b"),
            (r#"{"a":1,}"#, "a"),
            ("{} {}", "a"),
        ] {
            let wrong = complete(document, &path(member), &|_| Ok(Change::Set("7".to_owned())));
            assert!(matches!(wrong, Err(Wrong::Unfit(_))), "{document}");
        }
    }

    proptest! {
        #[test]
        fn a_member_that_was_set_is_read_and_all_others_are_as_before(
            others in proptest::collection::btree_map("[a-c]{1,2}", ".*", 0..5), pretty: bool,
        ) {
            let document = json!(others);
            let written = if pretty { serde_json::to_string_pretty(&document).unwrap() } else { document.to_string() };
            let new: Value = serde_json::from_str(&set(&written, "a", "[7]")).unwrap();
            let mut expected = document;
            expected["a"] = json!([7]);
            prop_assert_eq!(new, expected);
        }

        #[test]
        fn any_text_is_completed_or_refused_without_a_panic(text: String, braces in "[{}\":,a\\[\\] ]{0,16}") {
            for text in [text, braces] {
                for change in [Change::Remove, Change::Set("1".to_owned())] {
                    let _done = complete(&text, &path("a"), &|_| Ok(change.clone()));
                }
            }
        }
    }
}
