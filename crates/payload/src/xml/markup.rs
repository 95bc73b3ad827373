//! What stands in markup, as strict as the standard is: names, attributes, declarations.

/// White space, as documents have it.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Whether this is a name, perhaps with a prefix.
pub(super) fn is_name(name: &str) -> bool {
    let is_first = |letter: char| letter.is_alphabetic() || matches!(letter, '_' | ':');
    let mut letters = name.chars();
    letters.next().is_some_and(is_first)
        && letters.all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | ':' | '-' | '.' | '\u{B7}'))
}

/// Whether a processing instruction may be called so.
pub(super) fn is_target(name: &str) -> bool {
    is_name(name) && name != "xml"
}

/// Attributes, which white space stands before, and what is sent as their values.
pub(super) fn attributes(raw: &str) -> Result<Vec<(&str, &str)>, &'static str> {
    let mut found = Vec::new();
    let mut rest = raw;
    loop {
        let behind = rest.trim_start_matches(SPACE);
        if behind.is_empty() {
            return Ok(found);
        }
        if behind.len() == rest.len() {
            return Err("XML: no white space before an attribute");
        }
        let (name, behind) = behind.split_once('=').ok_or("XML: an attribute without a value")?;
        let behind = behind.trim_start_matches(SPACE);
        let quote = behind.chars().next().filter(|quote| matches!(quote, '"' | '\''));
        let value = quote.and_then(|quote| behind.strip_prefix(quote)?.split_once(quote));
        let (value, behind) = value.ok_or("XML: the value of an attribute is not in quotes")?;
        found.push((name.trim_end_matches(SPACE), value));
        rest = behind;
    }
}

/// Whether the declaration at the beginning, from `xml` on, is as it should be.
pub(super) fn is_declaration(content: &str) -> bool {
    let Some(said) = content.strip_prefix("xml").and_then(|raw| attributes(raw).ok()) else { return false };
    let mut rest = said.as_slice();
    let Some((("version", version), after)) = rest.split_first() else { return false };
    rest = after;
    if let Some((("encoding", encoding), after)) = rest.split_first() {
        let is_sign = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        if !encoding.starts_with(|letter: char| letter.is_ascii_alphabetic()) || !encoding.chars().all(is_sign) {
            return false;
        }
        rest = after;
    }
    if let Some((("standalone", "yes" | "no"), after)) = rest.split_first() {
        rest = after;
    }
    let is_version = version.strip_prefix("1.").is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()));
    is_version && rest.is_empty()
}

/// Whether a document type is put together as it should be; what its declarations say is not looked at.
pub(super) fn is_document_type(content: &str) -> bool {
    let content = content.trim_matches(SPACE);
    let (name, rest) = content.split_at(content.find([' ', '\t', '\r', '\n', '[']).unwrap_or(content.len()));
    let rest = rest.trim_start_matches(SPACE);
    let outside = match (rest.strip_prefix("SYSTEM"), rest.strip_prefix("PUBLIC")) {
        (Some(behind), _) => quoted(behind),
        (None, Some(behind)) => quoted(behind).and_then(quoted),
        (None, None) => Some(rest),
    };
    let Some(rest) = outside.map(|rest| rest.trim_start_matches(SPACE)) else { return false };
    let inside = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    is_name(name) && (rest.is_empty() || inside.is_some_and(are_declarations))
}

/// Whether a document type gives attributes values that elements do not name, or makes declarations of entities, which may
/// do so. Commented out or not: a document that means well has neither.
pub(super) fn adds_texts(content: &str) -> bool {
    let mut lists = content.split("<!ATTLIST").skip(1).filter_map(|list| list.split('>').next());
    let mut references = content.split('%').skip(1).filter_map(|behind| behind.split_once(';'));
    lists.any(|list| list.contains(['"', '\''])) || references.any(|(name, _)| is_name(name))
}

/// What follows a text in quotes that white space stands before.
fn quoted(rest: &str) -> Option<&str> {
    let behind = rest.trim_start_matches(SPACE);
    let quote = behind.chars().next().filter(|quote| behind.len() < rest.len() && matches!(quote, '"' | '\''))?;
    behind.strip_prefix(quote)?.split_once(quote).map(|(_, behind)| behind)
}

fn are_declarations(subset: &str) -> bool {
    let mut rest = subset.trim_start_matches(SPACE);
    while !rest.is_empty() {
        let behind = if let Some(comment) = rest.strip_prefix("<!--") {
            comment.split_once("-->").map(|(_, behind)| behind)
        } else if let Some(instruction) = rest.strip_prefix("<?") {
            instruction.split_once("?>").map(|(_, behind)| behind)
        } else if let Some(reference) = rest.strip_prefix('%') {
            reference.split_once(';').filter(|(name, _)| is_name(name)).map(|(_, behind)| behind)
        } else {
            declaration(rest)
        };
        let Some(behind) = behind else { return false };
        rest = behind.trim_start_matches(SPACE);
    }
    true
}

/// What follows a declaration: its keyword, white space, and all up to `>` outside of quotes.
fn declaration(rest: &str) -> Option<&str> {
    const KEYWORDS: [&str; 4] = ["<!ELEMENT", "<!ATTLIST", "<!ENTITY", "<!NOTATION"];
    let content = KEYWORDS.iter().find_map(|keyword| rest.strip_prefix(keyword))?;
    let mut quote = None;
    let mut letters = content.char_indices();
    letters.next().filter(|(_, letter)| SPACE.contains(letter))?;
    let end = letters.find(|(_, letter)| {
        match quote {
            None if *letter == '>' => return true,
            None if matches!(letter, '"' | '\'') => quote = Some(*letter),
            Some(open) if open == *letter => quote = None,
            None | Some(_) => {}
        }
        false
    });
    let (content, behind) = content.split_at(end?.0);
    let names = content.split(SPACE).filter(|word| !word.is_empty()).count();
    (names > 1 && !content.contains('<')).then(|| behind.strip_prefix('>'))?
}
