//! Languages: those that there are, and which one of them somebody likes best.

use std::borrow::Cow;
use std::collections::BTreeMap;

use problem::{Finding, Pointer};

use crate::texts::Texts;

/// One of the languages of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language(pub(crate) usize);

/// The languages of a page, each with its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Languages(Vec<(String, Texts)>);

impl Languages {
    /// Those that there are, with an operator's own texts, which may also add a language.
    pub(crate) fn with(
        own: &BTreeMap<String, BTreeMap<String, String>>,
        at: &Pointer,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let mut languages: Vec<_> = BUILT_IN.iter().map(|(tag, file)| ((*tag).to_owned(), Texts::read(file))).collect();
        for (tag, texts) in own {
            let at = at.at(tag);
            let index = languages.iter().position(|(known, _)| known == tag);
            if index.is_none() && !is_tag(tag) {
                findings
                    .push(Finding::new(&at, "is no language; write its tag in lower case, such as `da` or `pt-br`"));
                continue;
            }
            let mut all =
                index.and_then(|index| languages.get(index)).map_or_else(Texts::default, |(_, all)| all.clone());
            for (name, text) in texts {
                if !all.set(name, Cow::Owned(text.clone())) {
                    let known = Texts::NAMES.join("`, `");
                    findings.push(Finding::new(&at.at(name), format!("is no text of the page; those are `{known}`")));
                }
            }
            for (name, slot) in
                SLOTS.iter().filter(|(name, slot)| texts.get(*name).is_some_and(|text| !text.contains(slot)))
            {
                findings.push(Finding::new(&at.at(name), format!("lacks `{slot}`, where a number or its unit stands")));
            }
            let missing = all.missing();
            if !missing.is_empty() {
                let missing = missing.join("`, `");
                findings.push(Finding::new(&at, format!("is a language of its own that lacks `{missing}`")));
            }
            if !matches!(&*all.direction, "" | "ltr" | "rtl") {
                findings.push(Finding::new(&at.at("direction"), "is neither `ltr` nor `rtl`"));
            }
            if !matches!(&*all.group, "" | "comma" | "dot" | "space") {
                findings.push(Finding::new(&at.at("group"), "is none of `comma`, `dot` and `space`"));
            }
            match index.and_then(|index| languages.get_mut(index)) {
                Some((_, texts)) => *texts = all,
                None => languages.push((tag.clone(), all)),
            }
        }
        languages.sort_by(|(_, one), (_, other)| one.language.cmp(&other.language));
        Self(languages)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Texts)> {
        self.0.iter().map(|(tag, texts)| (&**tag, texts))
    }

    /// The tag and the texts of one.
    pub(crate) fn of(&self, language: Language) -> (&str, &Texts) {
        let found = self.0.get(language.0).or_else(|| self.0.first());
        // There is always one: those that are built in.
        found.map_or_else(|| ("", Texts::none()), |(tag, texts)| (&**tag, texts))
    }

    /// The one with this tag.
    pub(crate) fn tagged(&self, tag: &str) -> Option<Language> {
        self.0.iter().position(|(known, _)| known.eq_ignore_ascii_case(tag)).map(Language)
    }

    /// Which one somebody likes best who accepts these (RFC 9110, section 12.5.4). A language of a region is also the
    /// language: `de-CH` is `de`.
    pub(crate) fn liked(&self, accepted: &str, otherwise: Option<Language>) -> Language {
        let mut best = None;
        for range in accepted.split(',') {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or_default().trim();
            let weight =
                parts.find_map(|part| part.trim().strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            let language = self.tagged(tag).or_else(|| self.tagged(tag.split('-').next().unwrap_or_default()));
            let Some(language) = language.filter(|_| weight > 0.0) else { continue };
            if best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language).or(otherwise).or_else(|| self.tagged("en")).unwrap_or(Language(0))
    }
}

impl Texts {
    fn none() -> &'static Self {
        static NONE: std::sync::LazyLock<Texts> = std::sync::LazyLock::new(Texts::default);
        &NONE
    }
}

/// Whether a text can be the tag of a language (RFC 5646), as far as that can be told.
fn is_tag(text: &str) -> bool {
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let starts = text.split('-').next().is_some_and(|first| (2..=3).contains(&first.len()));
    starts && text.split('-').all(is_part) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// What has to stand in a text of this name.
const SLOTS: &[(&str, &str)] = &[
    ("between", "{least}"),
    ("between", "{most}"),
    ("between", "{unit}"),
    ("up_to", "{most}"),
    ("up_to", "{unit}"),
    ("more", "{least}"),
    ("within", "{most}"),
    ("within", "{unit}"),
    ("over", "{place}"),
];

/// The languages that there are, by their tags.
const BUILT_IN: &[(&str, &str)] = &[
    ("ar", include_str!("texts/ar.txt")),
    ("cs", include_str!("texts/cs.txt")),
    ("de", include_str!("texts/de.txt")),
    ("en", include_str!("texts/en.txt")),
    ("es", include_str!("texts/es.txt")),
    ("fr", include_str!("texts/fr.txt")),
    ("he", include_str!("texts/he.txt")),
    ("it", include_str!("texts/it.txt")),
    ("ja", include_str!("texts/ja.txt")),
    ("ko", include_str!("texts/ko.txt")),
    ("nl", include_str!("texts/nl.txt")),
    ("pl", include_str!("texts/pl.txt")),
    ("pt", include_str!("texts/pt.txt")),
    ("sv", include_str!("texts/sv.txt")),
    ("tr", include_str!("texts/tr.txt")),
    ("uk", include_str!("texts/uk.txt")),
    ("zh", include_str!("texts/zh.txt")),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(own: &[(&str, &[(&str, &str)])]) -> (Languages, Vec<String>) {
        let texts =
            |texts: &[(&str, &str)]| texts.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let own = own.iter().map(|(tag, own)| ((*tag).into(), texts(own))).collect();
        let mut findings = Vec::new();
        let languages = Languages::with(&own, &Pointer::default(), &mut findings);
        (languages, findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_language_says_everything_and_nothing_else() {
        assert!(BUILT_IN.len() >= 12);
        for (tag, file) in BUILT_IN {
            assert_eq!(Texts::read(file).missing(), [""; 0], "{tag}");
            let names: Vec<_> = file.lines().map(|line| line.split_once(" = ").unwrap_or((line, "")).0).collect();
            assert_eq!(names, Texts::NAMES, "{tag}");
            for (name, slot) in SLOTS {
                let text = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = ")).unwrap();
                assert!(text.contains(slot), "{tag}: {name}");
            }
        }
        let (languages, _) = languages(&[]);
        let right_to_left = languages.all().filter(|(_, texts)| texts.direction == "rtl").map(|(tag, _)| tag);
        assert_eq!(right_to_left.collect::<Vec<_>>().len(), 2);
    }

    #[test]
    fn the_language_is_the_one_that_somebody_likes_best() {
        let (languages, _) = languages(&[]);
        for (accepted, tag) in [
            ("", "en"),
            ("de", "de"),
            ("de-CH,de;q=0.9,en;q=0.8", "de"),
            ("tlh, fr;q=0.3, en-GB;q=0.5", "en"),
            ("zh-Hant-TW", "zh"),
            ("PT-br", "pt"),
            ("de;q=0, fr;q=0.1", "fr"),
            ("*;q=0.5, nonsense;;q=, ja ; q=1", "ja"),
            ("xx, yy;q=2", "en"),
        ] {
            assert_eq!(languages.of(languages.liked(accepted, None)).0, tag, "{accepted}");
        }
        let german = languages.tagged("de");
        assert_eq!(languages.liked("tlh", german), german.unwrap());
        assert_eq!(languages.liked("fr", german), languages.tagged("fr").unwrap());
    }

    #[test]
    fn an_operator_may_say_things_otherwise_and_in_another_language() {
        let (own, findings) = languages(&[("en", &[("waiting", "Almost there")])]);
        let texts = own.of(own.tagged("en").unwrap()).1;
        assert_eq!((&*texts.waiting, &*texts.place, findings), ("Almost there", "Your place", vec![]));

        let all: Vec<_> = Texts::NAMES.iter().map(|name| (*name, "x")).collect();
        let whole = all.iter().map(|(name, text)| match *name {
            "direction" => ("direction", "ltr"),
            "group" => ("group", "dot"),
            "between" | "up_to" | "more" | "within" => (*name, "{least} {most} {unit}"),
            "over" => ("over", "{place}"),
            name => (name, *text),
        });
        let whole: Vec<_> = whole.collect();
        let (own, findings) = languages(&[("da", &whole)]);
        assert_eq!((own.tagged("da").is_some(), findings), (true, vec![]));

        let (_, findings) = languages(&[
            ("da", &[("waiting", "x")]),
            ("en", &[("wating", "x"), ("group", "x"), ("more", "x")]),
            ("E n", &[]),
        ]);
        for (finding, start) in findings.iter().zip([
            "/E n: is no language",
            "/da: is a language of its own that lacks `language`, `direction`",
            "/en/wating: is no text of the page; those are `language`",
            "/en/more: lacks `{least}`, where a number or its unit stands",
            "/en/group: is none of",
        ]) {
            assert!(finding.starts_with(start), "{finding}");
        }
        assert_eq!(findings.len(), 5);
    }
}
