//! `redirect`: sends the client elsewhere.

use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};
use pipeline::{Body, ChainBuilder, Exchange, Flow, OnRequest, Policy, Stage, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;

use attributes::attribute::Attribute;
use attributes::template::{Place, Template};

/// The request's values make no location.
pub static REDIRECT_IMPOSSIBLE: ProblemKind = ProblemKind {
    code: "redirect-impossible",
    status: StatusCode::BAD_REQUEST,
    title: "There is no location for this request",
};

/// Sends the client elsewhere: to a `location`, or to the same place by https.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to, a template such as `https://new.example{request.path}`. What a client sent is percent-encoded.
    location: Option<String>,
    /// `https` sends plain requests to the same host, path and query by https, and lets those by https pass.
    scheme: Option<Scheme>,
    /// The port to send to with `scheme`, where it is not 443.
    #[schemars(range(min = 1))]
    port: Option<u16>,
    /// 301, 302, 303, 307 or 308. Left out, it is 308 with `scheme` and 302 with `location`.
    status: Option<u16>,
}

/// The scheme to send to.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// By TLS.
    Https,
}

/// The compiled policy.
pub struct Redirect {
    status: StatusCode,
    location: Template,
    /// The scheme whose requests need not be redirected.
    unless: Option<&'static str>,
}

impl Policy for Redirect {
    const NAME: &'static str = "redirect";
    const STAGE: Stage = Stage::Access;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&REDIRECT_IMPOSSIBLE];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, _: &mut ChainBuilder) -> Result<Self, Finding> {
        let (source, unless, status) = match (config.location, config.scheme) {
            (Some(location), None) => (location, None, StatusCode::FOUND),
            (None, Some(Scheme::Https)) => (https(config.port), Some("https"), StatusCode::PERMANENT_REDIRECT),
            _ => return Err(Finding::new(at, "needs a `location`, or `scheme: https`, and not both")),
        };
        if config.port.is_some() && unless.is_none() {
            return Err(Finding::new(&at.at("port"), "goes with `scheme`; write the port into the `location`"));
        }
        let location = Template::parse(&source, &at.at("location"))?;
        if location.attributes().any(Attribute::is_of_caller) {
            let message = "names the caller, who is not known yet when a request is redirected";
            return Err(Finding::new(&at.at("location"), message));
        }
        location.check_for_header(&at.at("location"))?;
        if location.constant().is_some_and(str::is_empty) {
            return Err(Finding::new(&at.at("location"), "is no location"));
        }
        let status = config.status.map_or(Ok(status), |status| redirection(status, &at.at("status")))?;
        Ok(Self { status, location, unless })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self);
    }
}

impl OnRequest for Redirect {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        if self.unless == Some(exchange.scheme) {
            return Ok(Flow::Next);
        }
        let location = self.location.render(exchange, Place::Uri);
        // A path of `//evil.example` alone would be read as a host; only the settings can name a host.
        let location = match self.location.constant() {
            None if location.starts_with("//") => format!("/{}", location.trim_start_matches('/')).into(),
            _ => location,
        };
        let Ok(location) = HeaderValue::from_str(location.trim_end_matches('?')) else {
            return Ok(Problem::new(&REDIRECT_IMPOSSIBLE).into());
        };
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = self.status;
        response.headers_mut().insert(LOCATION, location);
        Ok(Flow::Respond(Box::new(response)))
    }
}

/// Where requests by https go: the template, with a `?` at its end that is taken off where there is no query.
fn https(port: Option<u16>) -> String {
    let port = port.filter(|port| *port != 443).map(|port| format!(":{port}")).unwrap_or_default();
    format!("https://{{request.host}}{port}{{request.path}}?{{request.query}}")
}

fn redirection(status: u16, at: &Pointer) -> Result<StatusCode, Finding> {
    match status {
        301 => Ok(StatusCode::MOVED_PERMANENTLY),
        302 => Ok(StatusCode::FOUND),
        303 => Ok(StatusCode::SEE_OTHER),
        307 => Ok(StatusCode::TEMPORARY_REDIRECT),
        308 => Ok(StatusCode::PERMANENT_REDIRECT),
        _ => Err(Finding::new(at, format!("{status} does not redirect; write 301, 302, 303, 307 or 308"))),
    }
}

#[cfg(test)]
mod tests {
    use pipeline::Tls;
    use pipeline::tester::{Answer, policy};
    use serde_json::{Value, json};

    use super::*;

    fn redirected(settings: Value, target: &str) -> Answer {
        policy::<Redirect>(settings).request().to(target).is_refused_with("no problem")
    }

    #[test]
    fn a_location_is_made_from_the_request() {
        let answer =
            redirected(json!({ "location": "https://new.example{request.path}?from={request.host}" }), "/a%20b");
        assert_eq!(answer.status, 302);
        assert_eq!(answer.headers["location"], "https://new.example/a%20b?from=example.com");
    }

    #[test]
    fn plain_requests_are_sent_to_https_and_those_by_https_pass() {
        let upgrade = policy::<Redirect>(json!({ "scheme": "https" }));
        let answer = upgrade.request().to("/a?b=c").is_refused_with("no problem");
        assert_eq!(answer.status, 308);
        assert_eq!(answer.headers["location"], "https://example.com/a?b=c");
        upgrade.request().tls(Tls::default()).passes();

        assert_eq!(redirected(json!({ "scheme": "https" }), "/a").headers["location"], "https://example.com/a");
        let other = redirected(json!({ "scheme": "https", "port": 8443, "status": 301 }), "/");
        assert_eq!(other.headers["location"], "https://example.com:8443/");
        assert_eq!(other.status, 301);
    }

    #[test]
    fn a_client_cannot_choose_the_host() {
        let settings = json!({ "location": "{request.path}" });
        assert_eq!(redirected(settings.clone(), "//evil.example/").headers["location"], "/evil.example/");
        assert_eq!(redirected(settings, "/\\evil.example/").headers["location"], "/%5Cevil.example/");

        let to = json!({ "location": "https://{request.query.tenant}.example.com/" });
        let answer = redirected(to, "/?tenant=evil.example%2F");
        assert_eq!(answer.headers["location"], "https://evil.example%2F.example.com/");
    }

    #[test]
    fn mistakes_are_findings() {
        for (settings, expected) in [
            (json!({}), "/with: needs a `location`, or `scheme: https`, and not both"),
            (json!({ "location": "/a", "scheme": "https" }), "and not both"),
            (json!({ "location": "/a", "status": 200 }), "/with/status: 200 does not redirect"),
            (json!({ "location": "/a", "port": 80 }), "/with/port: goes with `scheme`"),
            (json!({ "location": "" }), "/with/location: is no location"),
            (json!({ "location": "/{caller.app}" }), "/with/location: names the caller, who is not known yet"),
            (json!({ "scheme": "ftp" }), "unknown variant `ftp`"),
        ] {
            let finding = policy::<Redirect>(settings).finding();
            assert!(finding.contains(expected), "{finding}");
        }
    }
}
