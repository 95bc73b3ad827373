//! The page that is shown to somebody who waits. It needs no scripts, and nothing from anywhere else.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use pipeline::Body;
use rooms::Wait;

/// The page, which asks again after so many seconds.
pub(super) fn waiting(title: &str, wait: Wait, pause: u64) -> Response<Body> {
    let ahead = match wait.ahead {
        0 => "You are next.".to_owned(),
        1 => "1 visitor is before you.".to_owned(),
        many => format!("{} visitors are before you.", grouped(many)),
    };
    let told = format!(
        "<p>Your place is number <strong>{position}</strong>. {ahead}</p>\n\
         <p>This page looks again by itself. When it is your turn, the page that you asked for appears here.</p>\n\
         <p>You keep your place if you reload this page, or close it and come back.</p>\n",
        position = grouped(wait.position.into()),
    );
    shown(title, "You are in line", &told, Some(pause))
}

/// A page that tells something else: each text is HTML already. Without a pause it does not look again.
pub(super) fn notice(
    title: &str,
    heading: &str,
    told: &[&str],
    pause: Option<u32>,
    status: StatusCode,
) -> Response<Body> {
    let told = told.iter().fold(String::new(), |page, text| page + "<p>" + text + "</p>\n");
    let mut response = shown(title, heading, &told, pause.map(u64::from));
    *response.status_mut() = status;
    response
}

/// A page with a heading and what stands below it, which is HTML.
fn shown(title: &str, heading: &str, told: &str, pause: Option<u64>) -> Response<Body> {
    let title = if title.is_empty() { String::new() } else { format!("<p class=\"for\">{}</p>", escaped(title)) };
    let refresh =
        pause.map_or_else(String::new, |pause| format!("<meta http-equiv=\"refresh\" content=\"{pause}\">\n"));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n{refresh}\
         <title>{heading}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{title}\
         <h1>{heading}</h1>\n{told}</main>\n</body>\n</html>\n",
    );
    let mut response = Response::new(Body::from(Bytes::from(page)));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"),
    );
    response
}

/// A number with a thin space after each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.125rem/1.6 system-ui,sans-serif;\
background:#fff;color:#1a1a1a}main{max-width:34rem;padding:2rem}h1{font-size:2rem;line-height:1.2;margin:0 0 1rem}\
.for{margin:0;color:#595959}strong{font-size:1.25em}\
@media(prefers-color-scheme:dark){body{background:#121212;color:#f0f0f0}.for{color:#b5b5b5}}";

#[cfg(test)]
mod tests {
    use super::*;

    fn text(title: &str, wait: Wait) -> String {
        let (head, body) = waiting(title, wait, 7).into_parts();
        assert_eq!(
            (head.status, &head.headers[CACHE_CONTROL]),
            (StatusCode::SERVICE_UNAVAILABLE, &HeaderValue::from_static("no-store"))
        );
        let Body::Full(bytes) = body else { panic!() };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn the_page_tells_the_place_and_looks_again() {
        let page = text("", Wait { position: 1_234_567, ahead: 1_000 });
        assert!(
            page.contains("<strong>1\u{202f}234\u{202f}567</strong>. 1\u{202f}000 visitors are before you."),
            "{page}"
        );
        assert!(page.contains("http-equiv=\"refresh\" content=\"7\""));
        assert!(text("", Wait { position: 9, ahead: 1 }).contains("1 visitor is before you."));
        assert!(text("", Wait { position: 9, ahead: 0 }).contains("You are next."));
    }

    #[test]
    fn what_is_waited_for_is_text() {
        let page = text("<b>Tickets & \"more\"", Wait { position: 1, ahead: 0 });
        assert!(page.contains("<p class=\"for\">&lt;b&gt;Tickets &amp; &quot;more&quot;</p>"), "{page}");
    }
}
