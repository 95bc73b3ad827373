//! `respond`: answers without asking an upstream.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use pipeline::{Body, ChainBuilder, Exchange, Flow, OnRequest, Policy, Stage, Verdict};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::headers::{Host, header_name};
use attributes::record;
use attributes::template::{HeaderText, Place, Template};

/// Answers without asking an upstream: maintenance, mocks, `robots.txt`.
///
/// Texts are templates. Values in them are escaped as the content type needs it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The status, from 200 to 599.
    #[serde(default = "ok")]
    #[schemars(range(min = 200, max = 599))]
    status: u16,
    /// Headers of the answer; templates. One that comes out empty is left out.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The media type. Left out, it is `text/plain; charset=utf-8` or `application/json`.
    content_type: Option<String>,
    /// A body of text; a template. Not together with `json`.
    text: Option<String>,
    /// A body of JSON, whose strings are templates. Not together with `text`.
    json: Option<Value>,
}

fn ok() -> u16 {
    200
}

/// The compiled policy.
pub struct Respond {
    status: StatusCode,
    constant: HeaderMap,
    templates: Vec<(HeaderName, HeaderText)>,
    body: Content,
}

enum Content {
    Constant(Bytes),
    Template(Template, Place),
}

impl Policy for Respond {
    const NAME: &'static str = "respond";
    const STAGE: Stage = Stage::Complete;
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let status = StatusCode::from_u16(config.status).ok().filter(|status| (200..600).contains(&status.as_u16()));
        let status = status.ok_or_else(|| Finding::new(&at.at("status"), "is no status from 200 to 599"))?;
        let body = body(config.text.as_deref(), config.json.as_ref(), chain, at)?;
        if matches!(status.as_u16(), 204 | 205 | 304) && body.is_some() {
            return Err(Finding::new(&at.at("status"), format!("{} goes without a body", status.as_u16())));
        }
        let mut respond = Self { status, constant: HeaderMap::new(), templates: Vec::new(), body: Content::none() };
        for (name, value) in &config.headers {
            let at = at.at("headers").at(name);
            let name = header_name(name, &at, Host::Stays)?;
            let text = HeaderText::parse(value, &at)?;
            record::check_header(&text, chain, &at)?;
            match text {
                HeaderText::Constant(value) => {
                    respond.constant.append(name, value);
                }
                template @ HeaderText::Template(_) => respond.templates.push((name, template)),
            }
        }
        if let Some((template, usual_type)) = body {
            let content_type = config.content_type.as_deref().unwrap_or(usual_type);
            let value = HeaderValue::from_str(content_type)
                .map_err(|_invalid| Finding::new(&at.at("content_type"), "cannot stand in a header"))?;
            respond.constant.insert(CONTENT_TYPE, value);
            respond.body = Content::new(template, content_type);
        } else if config.content_type.is_some() {
            return Err(Finding::new(&at.at("content_type"), "has no body to describe; write `text` or `json`"));
        }
        Ok(respond)
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self);
    }
}

impl OnRequest for Respond {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        let body = match &self.body {
            Content::Constant(bytes) => bytes.clone(),
            Content::Template(template, place) => template.render(exchange, *place).into_owned().into(),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.constant.clone();
        for (name, text) in &self.templates {
            if let Some(value) = text.render(exchange) {
                response.headers_mut().append(name, value);
            }
        }
        Ok(Flow::Respond(Box::new(response)))
    }
}

impl Content {
    fn none() -> Self {
        Self::Constant(Bytes::new())
    }

    fn new(template: Template, content_type: &str) -> Self {
        if let Some(constant) = template.constant() {
            return Self::Constant(Bytes::copy_from_slice(constant.as_bytes()));
        }
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let place = match essence.as_str() {
            json if json == "application/json" || json.ends_with("+json") => Place::Json,
            xml if xml == "text/html" || xml.ends_with("/xml") || xml.ends_with("+xml") => Place::Html,
            _ => Place::Text,
        };
        Self::Template(template, place)
    }
}

/// The body, if there is to be one, and the media type that it usually has.
fn body(
    text: Option<&str>,
    json: Option<&Value>,
    chain: &ChainBuilder,
    at: &Pointer,
) -> Result<Option<(Template, &'static str)>, Finding> {
    let (template, at, media_type) = match (text, json) {
        (None, None) => return Ok(None),
        (Some(text), None) => {
            let at = at.at("text");
            (Template::parse(text, &at)?, at, "text/plain; charset=utf-8")
        }
        (None, Some(json)) => {
            let at = at.at("json");
            (Template::parse_json(json, &at)?, at, "application/json")
        }
        (Some(_), Some(_)) => return Err(Finding::new(&at.at("text"), "stands beside `json`; write one of them")),
    };
    record::check(&template, chain, &at)?;
    Ok(Some((template, media_type)))
}

#[cfg(test)]
mod tests {
    use pipeline::tester::{Answer, policy};
    use serde_json::json;

    use super::*;

    fn answer(settings: Value, target: &str) -> Answer {
        policy::<Respond>(settings).request().to(target).is_refused_with("no problem")
    }

    #[test]
    fn the_answer_is_what_is_written() {
        let answer = answer(json!({ "status": 503, "headers": { "retry-after": "60" }, "text": "Back soon." }), "/");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.headers["retry-after"], "60");
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.body, "Back soon.");
    }

    #[test]
    fn an_answer_may_have_no_body() {
        let answer = answer(json!({ "status": 204 }), "/");
        assert_eq!((answer.status.as_u16(), answer.headers.len(), answer.body.len()), (204, 0, 0));
    }

    #[test]
    fn values_are_escaped_as_the_content_type_needs_it() {
        let text =
            json!({ "text": "{request.query.q}", "headers": { "x-q": "{request.query.q}", "x-none": "{product}" } });
        let mut html = text.clone();
        html["content_type"] = "text/html".into();
        let json = json!({ "json": { "q": "<{request.query.q}>", "n": 1 } });
        let target = "/?q=%3Cb%3E%22%0a";

        let answered = answer(text, target);
        assert_eq!(answered.body, "<b>\"\n");
        assert_eq!(answered.headers["x-q"], "<b>\"");
        assert!(!answered.headers.contains_key("x-none"));
        assert_eq!(answer(html, target).body, "&lt;b&gt;&quot;\n");
        let answered = answer(json, target);
        let read: Value = serde_json::from_slice(&answered.body).unwrap();
        assert_eq!(read, json!({ "q": "<<b>\"\n>", "n": 1 }));
        assert_eq!(answered.headers["content-type"], "application/json");
    }

    #[test]
    fn mistakes_are_findings() {
        for (settings, expected) in [
            (json!({ "status": 99 }), "/with/status: is no status from 200 to 599"),
            (json!({ "status": 101 }), "/with/status: is no status from 200 to 599"),
            (json!({ "status": 204, "text": "x" }), "/with/status: 204 goes without a body"),
            (json!({ "text": "x", "json": 1 }), "/with/text: stands beside `json`"),
            (json!({ "json": { "a": ["{x}"] } }), "/with/json/a/0: there is no `x`"),
            (json!({ "content_type": "text/html" }), "/with/content_type: has no body to describe"),
            (json!({ "headers": { "content-length": "1" } }), "/with/headers/content-length: `content-length` cannot"),
        ] {
            let finding = policy::<Respond>(settings).finding();
            assert!(finding.contains(expected), "{finding}");
        }
    }
}
