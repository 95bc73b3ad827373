//! What a template must not have, because the page's policy forbids it, or because people could not use it.

/// What was found out about a template.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// What is wrong with it, each with where that begins, in bytes.
    pub(crate) wrong: Vec<(Option<usize>, String)>,
    /// What stands in its `style` elements.
    pub(crate) styles: Vec<String>,
}

/// A tag that opens an element.
struct Tag<'a> {
    name: String,
    attributes: Vec<(String, &'a str)>,
}

/// Looks through the HTML of a template.
pub(crate) fn check(html: &str) -> Checked {
    let mut checked = Checked::default();
    let mut seen = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        let at = Some(html.len() - after.len() - 1);
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, behind)| behind);
            continue;
        }
        let Some((tag, behind)) = tag(after) else {
            rest = after;
            continue;
        };
        rest = behind;
        let mut wrong = Vec::new();
        judge(&tag, &mut wrong);
        checked.wrong.extend(wrong.into_iter().map(|wrong| (at, wrong)));
        if matches!(&*tag.name, "style" | "script") {
            let (content, behind) = raw(rest, &tag.name);
            rest = behind;
            if tag.name == "style" {
                checked.styles.push(content.to_owned());
                if content.contains("@import") || content.contains("url(") && !only_data(content) {
                    let wrong = "has a style that brings something from elsewhere; use `data:` addresses".to_owned();
                    checked.wrong.push((at, wrong));
                }
            }
        }
        seen.push(tag.name);
    }
    if !seen.iter().any(|name| name == "main") && !html.is_empty() {
        checked.wrong.push((None, "has no `<main>`, which people who do not see the page look for".to_owned()));
    }
    checked.wrong.dedup();
    checked
}

/// What is wrong with a tag.
fn judge(tag: &Tag<'_>, wrong: &mut Vec<String>) {
    let name = &tag.name;
    match &**name {
        "script" => {
            wrong.push("has a script, which no browser will run here; what has to run comes with `{{room}}`".into());
        }
        "base" | "iframe" | "object" | "embed" | "form" | "frame" => {
            wrong.push(format!("has `<{name}>`, which no browser will load or send from here"));
        }
        "meta"
            if tag
                .attributes
                .iter()
                .any(|(name, value)| name == "http-equiv" && value.eq_ignore_ascii_case("refresh")) =>
        {
            wrong.push("refreshes itself, which `{{head}}` does".into());
        }
        "img" if !tag.attributes.iter().any(|(name, _)| name == "alt") => {
            wrong.push("has an `<img>` without `alt`; where it says nothing, write `alt=\"\"`".into());
        }
        _ => {}
    }
    for (attribute, value) in &tag.attributes {
        let loads = attribute == "src" || attribute == "srcset" || (name == "link" && attribute == "href");
        if attribute.starts_with("on") {
            wrong.push(format!("has `{attribute}`, a script that no browser will run here"));
        } else if attribute == "style" {
            wrong.push("has an attribute `style`, which no browser will use here; write a rule into `<style>`".into());
        } else if loads && !value.trim_start().starts_with("data:") {
            let shown: String = value.chars().take(60).collect();
            wrong.push(format!("loads `{shown}`, which visitors in line would load, too; use a `data:` address"));
        }
    }
}

/// The tag after a `<`, and what follows it.
fn tag(text: &str) -> Option<(Tag<'_>, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).filter(|end| *end > 0)?;
    let (name, mut rest) = text.split_at_checked(end)?;
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            break;
        }
        if let Some(behind) = rest.strip_prefix('>') {
            rest = behind;
            break;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        // Something always goes on, whatever it is.
        let (attribute, behind) = rest.split_at_checked(end.max(1)).unwrap_or((rest, ""));
        let (value, behind) = value(behind);
        attributes.push((attribute.to_ascii_lowercase(), value));
        rest = behind;
    }
    Some((Tag { name: name.to_ascii_lowercase(), attributes }, rest))
}

/// The value of an attribute, if one follows, and what follows that.
fn value(text: &str) -> (&str, &str) {
    let Some(behind) = text.trim_start().strip_prefix('=') else { return ("", text) };
    let behind = behind.trim_start();
    for quote in ['"', '\''] {
        if let Some(quoted) = behind.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = behind.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(behind.len());
    behind.split_at_checked(end).unwrap_or((behind, ""))
}

/// What stands in an element whose content is no HTML, and what follows it.
fn raw<'a>(text: &'a str, name: &str) -> (&'a str, &'a str) {
    let end = text.to_ascii_lowercase().find(&format!("</{name}")).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Whether every address in a style is of data.
fn only_data(style: &str) -> bool {
    let mut addresses = style.split("url(").skip(1);
    addresses.all(|address| address.trim_start().trim_start_matches(['"', '\'']).starts_with("data:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_browser_would_do_here_is_found() {
        for (html, wrong) in [
            ("<script>1</script>", "has a script"),
            ("<SCRIPT src=data:,></SCRIPT >", "has a script"),
            ("<p onclick='x()'>", "has `onclick`"),
            ("<p STYLE=\"color:red\">", "has an attribute `style`"),
            ("<img alt=x src=https://cdn.example/logo.png>", "loads `https://cdn.example/logo.png`"),
            ("<img src='data:image/png;base64,AA=='>", "has an `<img>` without `alt`"),
            ("<link rel=stylesheet href=/site.css>", "loads `/site.css`"),
            ("<iframe></iframe>", "has `<iframe>`"),
            ("<meta http-equiv=Refresh content=5>", "refreshes itself"),
            ("<style>p{background:url( 'https://x/y')}</style>", "has a style that brings something from elsewhere"),
            ("<style>@import 'x'</style>", "has a style that brings something from elsewhere"),
            ("<p>text</p>", "has no `<main>`"),
        ] {
            let checked = check(html);
            assert!(checked.wrong.iter().any(|(_, found)| found.starts_with(wrong)), "{html}: {checked:?}");
        }
    }

    #[test]
    fn everything_else_is_an_operators_affair() {
        let html = "<!-- <script> --><main class='a > b'><img alt='' src='data:image/svg+xml,<svg/>'><a href=https://x/>x</a>\
                    1 < 2 <br/><input disabled><style>p{background:url(\"data:,\")}p>a{}</style><p data-on=x lang = en></p></main>";
        let checked = check(html);
        assert_eq!(checked.wrong, []);
        assert_eq!(checked.styles, ["p{background:url(\"data:,\")}p>a{}"]);
    }

    #[test]
    fn whatever_is_cut_off_comes_to_an_end() {
        let html = "<p a='b\" c=d><style>x</style><!-- --><img/src=x//y alt>< =<<main =\"'<é ü=ß>";
        for (end, _) in html.char_indices() {
            let (before, after) = html.split_at(end);
            check(before);
            check(after);
        }
    }
}
