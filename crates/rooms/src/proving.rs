//! The page that has a browser compute something before it joins, and leads on by itself.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::proof::{SCRIPT, Without, Work};
use crate::sight::Visitor;

/// The parameter of an address by which somebody joins without a proof of work.
pub const WITHOUT_PROOF: &str = "room-join";

/// The page, for whoever asked for this address: the proof is to be in a cookie of this name.
pub(crate) fn page(visitor: &Visitor<'_>, cookie: &str, challenge: &str, work: Work) -> Response<Bytes> {
    let instead = match work.without {
        Without::SlowLane => without(visitor.path, visitor.query),
        Without::Refused => "<noscript><p>This page needs scripts.</p></noscript>".to_owned(),
    };
    let script = format!("{SCRIPT}{LEADS_ON}");
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>You are about to join</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>You are about to join</h1>\n\
         <p>Your browser computes something for a moment, so that programs cannot join thousands of times. You need not do \
         anything: this page goes on by itself.</p>\n\
         <progress id=\"proof\" max=\"1\" value=\"0\" aria-label=\"Joining\" data-challenge=\"{challenge}\" \
         data-difficulty=\"{difficulty}\" data-cookie=\"{cookie}\"></progress>\n{instead}</main>\n\
         <script>{script}</script>\n</body>\n</html>\n",
        difficulty = work.difficulty,
    );
    let mut response = Response::new(Bytes::from(page));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let hash = STANDARD.encode(digest(&SHA256, script.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; worker-src blob:; form-action 'self'; \
         frame-ancestors 'self'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The way for those who cannot compute, or do not want to.
fn without(path: &str, query: &str) -> String {
    // A form leaves the query of its address out.
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let fields: String = pairs.map(field).collect();
    format!(
        "<form action=\"{path}\" method=\"get\">{fields}<input type=\"hidden\" name=\"{WITHOUT_PROOF}\" value=\"slow-lane\">\n\
         <p>You can also join without it. Your turn comes later then, among the others who do so.</p>\n\
         <p><button>Join without it</button></p></form>\n",
        path = escaped(path),
    )
}

/// A field of the address that was asked for.
fn field((name, value): (&str, &str)) -> String {
    let text = |part: &str| {
        let spaced = part.replace('+', " ");
        escaped(&percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy())
    };
    format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", text(name), text(value))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.125rem/1.6 system-ui,sans-serif;\
background:#fff;color:#1a1a1a}main{max-width:34rem;padding:2rem}h1{font-size:2rem;line-height:1.2;margin:0 0 1rem}\
progress{width:100%}button{font:inherit;padding:.5rem 1rem}\
@media(prefers-color-scheme:dark){body{background:#121212;color:#f0f0f0}}";

/// Keeps the proof for a moment, and loads the page again, which takes it.
const LEADS_ON: &str = r#"
(() => {
  const shown = document.getElementById("proof");
  const { challenge, difficulty, cookie } = shown.dataset;
  roomProof.solve({ challenge, difficulty: Number(difficulty) }, (progress) => { shown.value = progress; }).then((proof) => {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${cookie}=${proof}; Path=/; Max-Age=60; SameSite=Lax${secure}`;
    if (document.cookie.includes(proof)) location.reload();
  });
})();
"#;

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn an_address_is_text_in_the_way_without_a_proof() {
        let form = without("/a%22b", "x=%22%3E%3Cscript%3E&y=1+2");
        assert!(form.contains("name=\"x\" value=\"&quot;&gt;&lt;script&gt;\""), "{form}");
        assert!(form.contains("name=\"y\" value=\"1 2\"") && form.contains("action=\"/a%22b\""), "{form}");
    }

    #[test]
    fn a_browser_runs_the_script_of_the_page_and_no_other() {
        let work = Work { difficulty: 18, valid: 60, without: Without::Refused };
        let headers = HeaderMap::new();
        let visitor = Visitor { headers: &headers, path: "/a", query: "", is_secure: false, now: 0 };
        let (head, body) = page(&visitor, "c", "challenge", work).into_parts();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let (_, rest) = text.split_once("<script>").unwrap();
        let (script, _) = rest.split_once("</script>").unwrap();
        let hash = STANDARD.encode(digest(&SHA256, script.as_bytes()));
        let policy = head.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains(&format!("script-src 'sha256-{hash}';")), "{policy}");
        assert!(!text.contains("<form"), "{text}");
    }
}
