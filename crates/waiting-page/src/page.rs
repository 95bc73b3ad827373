//! A page: compiled from what an operator says of it, and rendered for each visitor.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use problem::{Finding, Pointer};

use crate::language::{Language, Languages};
use crate::room;
use crate::template::{Slot, Template};
use crate::{ASKS, Update, View};

/// What an operator says of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What is waited for.
    pub title: Option<String>,
    /// A picture: the text of an SVG file, or a `data:` address.
    pub logo: Option<String>,
    /// The form of the page, in HTML with slots.
    pub template: Option<String>,
    /// The language of those who accept none of those that there are.
    pub language: Option<String>,
    /// Texts that are otherwise, by language and name.
    pub texts: BTreeMap<String, BTreeMap<String, String>>,
}

/// What somebody sees who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    title: String,
    /// The address of the picture.
    logo: Option<String>,
    template: Arc<Template>,
    languages: Arc<Languages>,
    /// The language of those who accept none.
    otherwise: Option<Language>,
    /// The sources of styles that the policy allows.
    styles: String,
}

impl Page {
    /// The page that an operator wants, or what is wrong with it.
    pub fn compile(settings: &Settings, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let languages = if settings.texts.is_empty() {
            USUAL.languages.clone()
        } else {
            Arc::new(Languages::with(&settings.texts, &at.at("texts"), &mut findings))
        };
        let template = match &settings.template {
            None => USUAL.template.clone(),
            Some(html) => match Template::read(html, &at.at("template")) {
                Ok(template) => Arc::new(template),
                Err(wrong) => {
                    findings.extend(wrong);
                    USUAL.template.clone()
                }
            },
        };
        let logo = settings.logo.as_deref().map(|logo| picture(logo, &at.at("logo"), &mut findings));
        let otherwise = settings.language.as_deref().map(|tag| (tag, languages.tagged(tag)));
        if let Some((tag, None)) = otherwise {
            let known = languages.all().map(|(tag, _)| tag).collect::<Vec<_>>().join("`, `");
            let message = format!("`{tag}` is no language of the page; those are `{known}`");
            findings.push(Finding::new(&at.at("language"), message));
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        let styles = template.styles.iter().map(|style| source(style)).collect::<Vec<_>>();
        Ok(Self {
            title: settings.title.clone().unwrap_or_default(),
            logo: logo.flatten(),
            otherwise: otherwise.and_then(|(_, language)| language),
            styles: [vec![source(STYLE)], styles].concat().join(" "),
            template,
            languages,
        })
    }

    /// The language for somebody who chose one earlier, or accepts some.
    pub fn language(&self, chosen: Option<&str>, accepted: &str) -> Language {
        chosen
            .and_then(|tag| self.languages.tagged(tag))
            .unwrap_or_else(|| self.languages.liked(accepted, self.otherwise))
    }

    /// The language with this tag.
    pub fn tagged(&self, tag: &str) -> Option<Language> {
        self.languages.tagged(tag)
    }

    /// The tag of a language.
    pub fn tag(&self, language: Language) -> &str {
        self.languages.of(language).0
    }

    /// What a browser may do with a page (Content Security Policy Level 3).
    pub fn policy(&self, view: &View<'_>) -> String {
        let (script, styles) = (&*SOURCE, &self.styles);
        // Work is done beside the page, by what its script makes.
        let (added, worker) = match view.work {
            Some(work) => (format!(" {}", source(work.script)), "; worker-src blob:"),
            None => Default::default(),
        };
        format!(
            "default-src 'none'; script-src {script}{added}; style-src {styles}; img-src data:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'self'{worker}"
        )
    }

    /// The page, in a language.
    pub fn render(&self, view: &View<'_>, language: Language) -> String {
        let (tag, texts) = self.languages.of(language);
        self.template.fill(|slot, page| match slot {
            Slot::Language => page.push_str(&escaped(tag)),
            Slot::Direction => page.push_str(&escaped(&texts.direction)),
            Slot::Head => self.head(view, language, page),
            Slot::Logo => {
                if let Some(logo) = &self.logo {
                    put(page, format_args!("<img src=\"{}\" alt=\"\">", escaped(logo)));
                }
            }
            Slot::Title => {
                if !self.title.is_empty() {
                    put(page, format_args!("<p class=\"v-for\">{}</p>", escaped(&self.title)));
                }
            }
            Slot::Room => room::room(page, view, texts, &self.title),
            Slot::Languages => self.choice(view, language, page),
        })
    }

    fn head(&self, view: &View<'_>, language: Language, page: &mut String) {
        let heading = room::heading(view.situation, self.languages.of(language).1);
        let separator = if self.title.is_empty() { "" } else { " \u{2013} " };
        put(
            page,
            format_args!(
                "<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
                 <meta name=\"robots\" content=\"noindex,nofollow\">\n<title>{}{separator}{}</title>\n\
                 <link rel=\"icon\" href=\"{ICON}\">\n<style>{STYLE}</style>\n",
                escaped(heading),
                escaped(&self.title),
            ),
        );
        if view.update == Update::Live && view.situation.looks_again() {
            // Where scripts run, they do it better.
            let pause = view.pause;
            put(page, format_args!("<noscript><meta http-equiv=\"refresh\" content=\"{pause}\"></noscript>\n"));
        }
    }

    /// All languages, each as a way to the same page in it.
    fn choice(&self, view: &View<'_>, language: Language, page: &mut String) {
        let (current, texts) = self.languages.of(language);
        let (choose, own) = (escaped(&texts.choose), escaped(&texts.language));
        put(page, format_args!("<details>\n<summary>{choose}: {own}</summary>\n<ul>\n"));
        for (tag, texts) in self.languages.all() {
            let address = address(view.query, &format!("in-{tag}"));
            let (tag, name, direction) = (escaped(tag), escaped(&texts.language), escaped(&texts.direction));
            let mark = if tag == current { " aria-current=\"true\"" } else { "" };
            put(
                page,
                format_args!(
                    "<li><a href=\"{address}\" hreflang=\"{tag}\" lang=\"{tag}\" dir=\"{direction}\"{mark}>{name}</a></li>\n"
                ),
            );
        }
        page.push_str("</ul>\n</details>\n");
    }
}

impl Default for Page {
    fn default() -> Self {
        USUAL.clone()
    }
}

/// The page of a room of which an operator says nothing. All pages share what they have of it: there may be many rooms.
static USUAL: LazyLock<Page> = LazyLock::new(|| Page {
    title: String::new(),
    logo: None,
    template: Arc::new(Template::usual()),
    languages: Arc::new(Languages::with(&BTreeMap::new(), &Pointer::default(), &mut Vec::new())),
    otherwise: None,
    styles: source(STYLE),
});

/// The address of this page that asks the gateway for something, as it stands in HTML.
pub(crate) fn address(query: &str, what: &str) -> String {
    let and = if query.is_empty() { "" } else { "&amp;" };
    format!("?{}{and}{ASKS}={}", escaped(query), escaped(what))
}

/// Text as it stands in HTML.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Writes to a page, which never fails.
pub(crate) fn put(page: &mut String, what: std::fmt::Arguments<'_>) {
    page.write_fmt(what).unwrap_or_default();
}

/// A script or style as a policy names it.
fn source(content: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, content.as_bytes())))
}

/// The address of a picture, or what is wrong with it.
fn picture(logo: &str, at: &Pointer, findings: &mut Vec<Finding>) -> Option<String> {
    if logo.len() > LARGEST_LOGO {
        let message = format!("has {} bytes, which every page would have; at most {LARGEST_LOGO}", logo.len());
        findings.push(Finding::new(at, message));
        return None;
    }
    if logo.starts_with("data:image/") {
        return Some(logo.to_owned());
    }
    if logo.trim_start().starts_with('<') && logo.contains("<svg") {
        return Some(format!("data:image/svg+xml;base64,{}", STANDARD.encode(logo)));
    }
    let message = "is no picture: write `${file:logo.svg}`, or an address such as `data:image/png;base64,...`";
    findings.push(Finding::new(at, message));
    None
}

/// Bytes of a picture at most: each page brings it along.
const LARGEST_LOGO: usize = 32 * 1024;

/// The script as it is sent: without what is there for those who read it.
pub(crate) static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("page.js").lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
});
/// What names it in a policy.
static SOURCE: LazyLock<String> = LazyLock::new(|| source(&SCRIPT));
const STYLE: &str = include_str!("page.css");
/// A door that stands open, so that no browser asks for another picture.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%232451b2' \
                    d='M3 15V1h7v14zm8-13h2v13h-2zM8 8a1 1 0 1 0 0 .1z'/%3E%3C/svg%3E";

#[cfg(test)]
mod tests;
