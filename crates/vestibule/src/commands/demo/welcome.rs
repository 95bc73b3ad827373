//! The document of the demo, and what to try with it.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

/// Who uses the demo.
pub(super) const COMPANY: &str = "acme";
pub(super) const APP: &str = "shop";
pub(super) const PRODUCT: &str = "trial";
/// The waiting room of the shop.
pub(super) const ROOM: &str = "sale";

/// What the demo begins with.
pub(super) struct Welcome<'a> {
    pub(super) gateway: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) key: &'a str,
    pub(super) document: &'a Path,
    pub(super) token: &'a Path,
    /// By which one signs in to the page of operators.
    pub(super) link: &'a str,
}

/// A document like one that an operator would write.
pub(super) fn document(gateway: SocketAddr, admin: SocketAddr, backend: SocketAddr) -> String {
    format!(
        r#"# What the demo serves. A change of this file is taken up within two seconds.
version: 1

listeners:
  public: {{bind: "{gateway}"}}

admin: {{bind: "{admin}"}}

store: {{embedded: data}}

upstreams:
  sample: {{targets: ["http://{backend}"]}}

apis:
  orders:
    match: {{path: /orders}}
    upstream: sample
    policies:
      - api-key: {{header: x-api-key}}
      - quota: {{from: product}}
  # Open to everybody.
  welcome:
    match: [{{path: {{exact: /}}}}, {{path: /echo}}, {{path: /slow}}, {{path: /thanks}}]
    upstream: sample

  # A few people are let in at a time; the others wait in line.
  shop:
    match: {{path: /shop}}
    upstream: sample
    policies:
      - waiting-room: {{room: {ROOM}}}
      # Whoever has bought something is done.
      - waiting-room-visit:
          room: {ROOM}
          completed:
            - when: request.method == 'POST' && request.path == '/shop/orders'
              answered: {{status: [303]}}

rooms:
  {ROOM}:
    page: {{title: Umbrella sale}}
    inlet: {{periodic: {{by: 1, every: 3s}}}}

products:
  {PRODUCT}:
    operations: ["orders: * /**"]
    quota: {{requests: 10, per: minute}}

diagnostics: {{level: warn}}

shutdown: {{drain: 2s}}
"#
    )
}

impl fmt::Display for Welcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gateway, admin, key, document, token, link } = self;
        let (document, token) = (document.display(), token.display());
        write!(
            f,
            r#"Vestibule serves http://localhost:{port}/ with a sample backend behind it.

Its configuration:   {document}
Its admin listener:  http://{admin}/
The key of {COMPANY}'s app `{APP}`, which is shown now and never again:

  {key}

Try, in another terminal:

  # The key opens the backend.
  curl -si -H 'x-api-key: {key}' http://{gateway}/orders/7

  # Nobody gets in without one.
  curl -si http://{gateway}/orders/7

  # The product includes 10 calls a minute; further ones are refused.
  curl -s -o /dev/null -w '%{{http_code}} ' -H 'x-api-key: {key}' 'http://{gateway}/orders/[1-22]'

  # Each call was counted.
  curl -s -H "authorization: Bearer $(cat {token})" 'http://{admin}/usage?by=company,app,operation,status'

And in a browser:

  http://localhost:{port}/shop    a shop that lets in one visitor every three seconds: a minute in line with a
                                simulated crowd, and then an umbrella to buy. Reload, close, come back: the
                                place is kept
  http://{admin}{link}
                                where its operator sees and changes that, best beside a window that waits: pause,
                                open, raise the serving number. The link is good once, within an hour; after that
                                one signs in with the token in {token}

Ctrl-C stops it.
"#,
            port = gateway.port(),
        )
    }
}

#[cfg(test)]
mod tests {
    use control::Configuration;

    use super::*;

    #[test]
    fn the_document_has_no_findings_and_is_in_canonical_form() {
        let [gateway, admin, backend] = ["127.0.0.1:8080", "127.0.0.1:9900", "127.0.0.1:9"].map(|a| a.parse().unwrap());
        let document = document(gateway, admin, backend);
        let configuration =
            Configuration::read(&document, Path::new("demo.yaml")).map_err(|found| found.len()).unwrap();
        assert!(control::check(&configuration).findings.is_empty());
        assert_eq!(model::fmt::format(&document, "demo.yaml").unwrap(), document);
    }
}
