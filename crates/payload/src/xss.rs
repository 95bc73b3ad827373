//! Recognises cross-site scripting: a port of libinjection's detector (BSD-3-Clause, see the file `NOTICE` of this crate).
//!
//! A value is read as HTML in five contexts: as text, within a tag, and behind each of three quotes.

mod html;
mod names;

use html::{Context, Html, Kind};
use names::Attribute;

use crate::bytes::between;
use crate::scan::find;

/// Whether a value would run a script, in a page that shows it without care.
pub fn xss(value: &[u8]) -> bool {
    // Tags, comments and declarations begin with `<`, and values of attributes with `=`: without both nothing is found.
    let has_tag = find(b'<', value).is_some();
    let has_value = find(b'=', value).is_some();
    if !has_tag && !has_value {
        return false;
    }
    // Behind a quote that does not come again, all is one value without a name.
    let behind = |quote: u8| find(quote, value).is_some() && runs_in(value, Context::Quote(quote));
    (has_tag && runs_in(value, Context::Text))
        || runs_in(value, Context::Tag)
        || behind(b'\'')
        || behind(b'"')
        || behind(b'`')
}

fn runs_in(value: &[u8], context: Context) -> bool {
    let mut html = Html::of(value, context);
    let mut attribute = Attribute::Harmless;
    while let Some((kind, start, end)) = html.next() {
        let text = between(value, start, end);
        let before = std::mem::replace(&mut attribute, Attribute::Harmless);
        let runs = match kind {
            Kind::Doctype => true,
            Kind::TagName => names::is_banned_tag(text),
            Kind::AttributeName => {
                attribute = names::attribute(text);
                false
            }
            Kind::AttributeValue => match before {
                Attribute::Harmless => false,
                Attribute::Banned | Attribute::Style => true,
                Attribute::Address => names::is_script(text),
                Attribute::NamesAnother => names::attribute(text) != Attribute::Harmless,
            },
            Kind::Comment => names::is_read_comment(text),
            Kind::Text | Kind::TagEnd => false,
        };
        if runs {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_runs_is_found_in_each_context() {
        for value in [
            "<script>alert(1)",
            "<ScRiPt >x",
            "<s\0cript>",
            "<svg/onload=alert(1)>",
            "<img src=x onerror=alert(1)>",
            "<a href=\"javascript:alert(1)\">",
            "<a href='&#106;&#x61;va\nscript:x'>",
            "<a href=\" \x01data:text/html,x\">",
            "\" onmouseover=alert(1) x=\"",
            "' onclick='x",
            "` style=`x",
            "onfocus=x autofocus",
            "><x style=a>",
            "<!DOCTYPE x>",
            "<!--[if IE]>",
            "<!-- ` -->",
            "<?import x>",
            "<!ENTITY x>",
            "<% ` %>",
            "<animate attributeName=onclick>",
            "<a xmlns=x>",
        ] {
            assert!(xss(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn what_does_not_run_is_none() {
        for value in [
            "",
            "hello world",
            "a < b and c > d",
            "<b>bold</b>",
            "<a href=\"https://example.com/?a=b\">",
            "a=b&c=d",
            "<!-- plain -->",
            "<p class=x onx=1>",
            "once=1",
            "size=\"3\" name='x'",
            "<![CDATA[ <script> ]]>",
        ] {
            assert!(!xss(value.as_bytes()), "{value}");
        }
    }

    proptest! {
        #[test]
        fn short_cuts_agree_with_the_long_way(value in "[<>=/!?%a-z '\"`\0-]{0,24}") {
            let contexts =
                [Context::Text, Context::Tag, Context::Quote(b'\''), Context::Quote(b'"'), Context::Quote(b'`')];
            let long = contexts.iter().any(|context| runs_in(value.as_bytes(), *context));
            prop_assert_eq!(xss(value.as_bytes()), long);
        }

        #[test]
        fn any_value_is_judged(value: Vec<u8>) {
            xss(&value);
        }
    }
}
