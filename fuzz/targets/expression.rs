//! Conditions, keys and templates: any text is compiled or refused, and what is compiled judges any request.
#![no_main]

use arbitrary::Arbitrary;
use attributes::expression;
use attributes::template::{Place, Template};
use http::Request;
use libfuzzer_sys::fuzz_target;
use pipeline::Exchange;
use pipeline::tester::exchange;
use problem::Pointer;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    source: &'a str,
    target: &'a str,
    header: (&'a str, &'a str),
    parameter: (&'a str, &'a str),
}

fuzz_target!(|input: Input<'_>| {
    let Some(mut exchange) = exchange_of(&input) else { return };
    exchange.parameters = vec![(input.parameter.0.into(), input.parameter.1.into())];

    let at = Pointer::default();
    if let Ok(condition) = expression::condition(input.source, &at) {
        let _holds = condition.holds(&exchange);
    }
    if let Ok(key) = expression::key(input.source, &at) {
        let _key = key.of(&exchange);
    }
    if let Ok(template) = Template::parse(input.source, &at) {
        for place in [Place::Text, Place::Html, Place::Json] {
            let _text = template.render(&exchange, place);
        }
        if template.check_for_header(&at).is_ok() {
            let text = template.render(&exchange, Place::Header);
            assert!(http::HeaderValue::from_str(&text).is_ok(), "{text:?} cannot stand in a header");
        }
    }
    let document = serde_json::json!({ "a": input.source });
    if let Ok(template) = Template::parse_json(&document, &at) {
        let text = template.render(&exchange, Place::Json);
        serde_json::from_str::<serde_json::Value>(&text).expect("a template of JSON gives JSON");
    }
});

/// A request with what can be sent of the input.
fn exchange_of(input: &Input<'_>) -> Option<Exchange> {
    let name: http::HeaderName = input.header.0.parse().ok()?;
    let value: http::HeaderValue = input.header.1.parse().ok()?;
    let target: http::Uri = input.target.parse().ok()?;
    Some(exchange(Request::get(target).header("host", "a.example").header(name, value)))
}
