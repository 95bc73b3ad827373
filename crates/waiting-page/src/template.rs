//! The form of a page: HTML with slots, `{{name}}`.

use problem::{Finding, Pointer};

use crate::check;

/// HTML with slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
    /// What stands in its `style` elements.
    pub(crate) styles: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Slot(Slot),
}

/// What a template leaves to each page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The tag of the language.
    Language,
    /// `ltr` or `rtl`.
    Direction,
    /// What belongs into `head`.
    Head,
    /// The logo.
    Logo,
    /// What is waited for.
    Title,
    /// What there is to know, and the script.
    Room,
    /// The choice of languages.
    Languages,
}

/// All slots, by the names that they have in templates. Those that have to be there are marked.
const SLOTS: &[(&str, Slot, bool)] = &[
    ("lang", Slot::Language, true),
    ("dir", Slot::Direction, true),
    ("head", Slot::Head, true),
    ("logo", Slot::Logo, false),
    ("title", Slot::Title, false),
    ("room", Slot::Room, true),
    ("languages", Slot::Languages, true),
];

impl Template {
    /// The one that there is if an operator has none.
    pub(crate) fn usual() -> Self {
        Self { parts: Self::parts(include_str!("page.html")).unwrap_or_default(), styles: Vec::new() }
    }

    /// An operator's own, or what is wrong with it.
    pub(crate) fn read(html: &str, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let parts = match Self::parts(html) {
            Ok(parts) => parts,
            Err(unknown) => {
                let known = SLOTS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join("}}`, `{{");
                findings.extend(unknown.into_iter().map(|(place, name)| {
                    let place = place_of(html, place);
                    Finding::new(
                        at,
                        format!("has `{{{{{name}}}}}`, which is no slot; those are `{{{{{known}}}}}`{place}"),
                    )
                }));
                Vec::new()
            }
        };
        for (name, ..) in SLOTS.iter().filter(|(.., is_needed)| *is_needed) {
            if !html.contains(&format!("{{{{{name}}}}}")) {
                findings.push(Finding::new(at, format!("lacks `{{{{{name}}}}}`{}", belongs(name))));
            }
        }
        let checked = check::check(html);
        findings.extend(checked.wrong.into_iter().map(|(place, wrong)| {
            let place = place.map(|place| place_of(html, place)).unwrap_or_default();
            Finding::new(at, format!("{wrong}{place}"))
        }));
        if findings.is_empty() { Ok(Self { parts, styles: checked.styles }) } else { Err(findings) }
    }

    /// Text and slots in order, or names that are no slots, each with where it begins, in bytes.
    fn parts(html: &str) -> Result<Vec<Part>, Vec<(usize, String)>> {
        let (mut parts, mut unknown, mut rest) = (Vec::new(), Vec::new(), html);
        while let Some((before, after)) = rest.split_once("{{") {
            let at = html.len() - after.len() - 2;
            let Some((name, behind)) = after.split_once("}}") else {
                unknown.push((at, after.chars().take(20).collect()));
                break;
            };
            parts.push(Part::Text(before.to_owned()));
            match SLOTS.iter().find(|(known, ..)| *known == name) {
                Some((_, slot, _)) => parts.push(Part::Slot(*slot)),
                None => unknown.push((at, name.chars().take(40).collect())),
            }
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        if unknown.is_empty() { Ok(parts) } else { Err(unknown) }
    }

    /// The page, each slot of which `fill` writes.
    pub(crate) fn fill(&self, mut fill: impl FnMut(Slot, &mut String)) -> String {
        let mut page = String::with_capacity(16 * 1024);
        for part in &self.parts {
            match part {
                Part::Text(text) => page.push_str(text),
                Part::Slot(slot) => fill(*slot, &mut page),
            }
        }
        page
    }
}

/// Where something begins in a template, as people look for it.
fn place_of(html: &str, at: usize) -> String {
    let before = html.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(" (line {line}, column {column} of the template)")
}

/// Where a slot belongs, for those who forgot it.
fn belongs(name: &str) -> &'static str {
    match name {
        "lang" | "dir" => "; write `<html lang=\"{{lang}}\" dir=\"{{dir}}\">`",
        "head" => ", which belongs into `<head>`",
        "room" => ", which belongs into `<main>`: it is what visitors are told",
        _ => ", by which visitors choose their language",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "<!doctype html><html lang=\"{{lang}}\" dir=\"{{dir}}\"><head>{{head}}<style>p{color:red}</style></head>\
                         <body><main><a href=\"https://shop.example/\">{{logo}}{{title}}</a>{{room}}{{languages}}</main></body></html>";

    fn findings(html: &str) -> Vec<String> {
        let findings = Template::read(html, &Pointer::default().at("template")).err().unwrap_or_default();
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_template_is_text_with_slots() {
        let template = Template::read(WHOLE, &Pointer::default()).unwrap();
        let page = template.fill(|slot, page| page.push_str(if slot == Slot::Title { "Tickets" } else { "-" }));
        assert!(page.contains("<html lang=\"-\" dir=\"-\">") && page.contains("-Tickets</a>--</main>"), "{page}");
        assert_eq!(template.styles, ["p{color:red}"]);
        assert!(!Template::usual().parts.is_empty());
    }

    #[test]
    fn what_would_not_work_is_a_finding() {
        for (html, finding) in [
            ("", "lacks `{{room}}`, which belongs into `<main>`"),
            ("{{head}}", "lacks `{{lang}}`; write `<html lang"),
            ("{{nonsense}}", "has `{{nonsense}}`, which is no slot; those are `{{lang}}`, `{{dir}}`"),
            ("{{room", "has `{{room}}`, which is no slot"),
        ] {
            assert!(findings(html).iter().any(|found| found.starts_with(&format!("/template: {finding}"))), "{html}");
        }
        assert_eq!(findings(WHOLE), [""; 0]);
        let wrong = WHOLE.replace("</main>", "\n  ü<script>alert(1)</script>\n{{nonsense}}</main>");
        let found = findings(&wrong);
        assert!(found[0].ends_with("`{{languages}}` (line 3, column 1 of the template)"), "{found:?}");
        assert!(found[1].ends_with("comes with `{{room}}` (line 2, column 4 of the template)"), "{found:?}");
        assert_eq!(found.len(), 2);
    }
}
