//! What proxies in front say about a client, and what the gateway tells the backend (RFC 7239).

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use model::api::ForwardedHeaders;
use model::requests::ProxiesWrite;
use pipeline::{Connection, Exchange, Told};
use snapshot::Snapshot;

use crate::arrival::without_port;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers that tell a backend about the client; from whom the gateway does not trust they are taken out.
const TOLD: [HeaderName; 6] = [
    header::FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-real-ip"),
];

/// Where a request comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) client: IpAddr,
    pub(crate) scheme: &'static str,
    /// The host that the client asked for, if a proxy changed it.
    pub(crate) host: Option<Box<str>>,
}

/// One proxy's word about who asked it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hop {
    client: Option<IpAddr>,
    scheme: Option<&'static str>,
    host: Option<Box<str>>,
}

/// Where a request comes from: the first address, seen from here, that is no trusted proxy.
pub(crate) fn origin(snapshot: &Snapshot, connection: &Connection, headers: &mut HeaderMap) -> Origin {
    let peer = connection.peer.ip().to_canonical();
    let scheme = if connection.tls.is_some() { "https" } else { "http" };
    let mut origin = Origin { client: peer, scheme, host: None };
    if !snapshot.trusts(peer) {
        // Few clients send any of these, and a look costs less than a search for each.
        if headers.keys().any(tells_of_a_client) {
            for name in &TOLD {
                headers.remove(name);
            }
        }
        return origin;
    }
    let written = snapshot.document.requests.proxies_write;
    let is_standard = match written {
        ProxiesWrite::Either if headers.contains_key(X_FORWARDED_FOR) => false,
        ProxiesWrite::Either if !headers.contains_key(header::FORWARDED) => return origin,
        ProxiesWrite::Either | ProxiesWrite::Standard => true,
        ProxiesWrite::XForwarded => false,
    };
    let hops = if is_standard { standard(headers) } else { x_forwarded(headers) };
    for name in TOLD.iter().filter(|name| (**name == header::FORWARDED) != is_standard) {
        headers.remove(name);
    }
    for hop in hops.into_iter().rev() {
        // The proxy next to the one that is trusted says how it was asked, even if it hides by whom.
        origin.scheme = hop.scheme.unwrap_or(origin.scheme);
        origin.host = hop.host.filter(|_| written != ProxiesWrite::Either).or(origin.host);
        let Some(client) = hop.client else { break };
        origin.client = client;
        if !snapshot.trusts(client) {
            break;
        }
    }
    origin
}

/// Whether a header is one of [`TOLD`].
fn tells_of_a_client(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "forwarded" || name.starts_with("x-") && TOLD.iter().any(|told| told.as_str() == name)
}

/// Adds what the backend should know.
pub(crate) fn tell(form: ForwardedHeaders, exchange: &mut Exchange) {
    let (standard, x_forwarded) = match form {
        ForwardedHeaders::Standard => (true, false),
        ForwardedHeaders::XForwarded => (false, true),
        ForwardedHeaders::Both => (true, true),
        ForwardedHeaders::None => (false, false),
    };
    let peer = exchange.connection.peer.ip().to_canonical();
    if standard && let Some(element) = element_of(exchange) {
        append(&mut exchange.head.headers, header::FORWARDED, element);
    }
    if x_forwarded {
        if let Ok(peer) = HeaderValue::try_from(peer.to_string()) {
            append(&mut exchange.head.headers, X_FORWARDED_FOR, peer);
        }
        let headers = &mut exchange.head.headers;
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(exchange.scheme));
        if let Some(host) = headers.get(header::HOST).cloned() {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
    }
}

/// The element of `Forwarded` for an exchange, written once for all requests of its connection that are alike.
fn element_of(exchange: &Exchange) -> Option<HeaderValue> {
    let host = exchange.head.headers.get(header::HOST);
    let fresh = || {
        let peer = exchange.connection.peer.ip().to_canonical();
        let element = element(peer, exchange.scheme, host.and_then(|host| host.to_str().ok()));
        HeaderValue::try_from(element).ok()
    };
    if let Some(told) = exchange.connection.told.get() {
        let is_alike = told.scheme == exchange.scheme && told.host.as_ref() == host;
        return if is_alike { Some(told.element.clone()) } else { fresh() };
    }
    let element = fresh()?;
    // A copy, because the header's own memory is the whole head's.
    let host = host.and_then(|host| HeaderValue::from_bytes(host.as_bytes()).ok());
    let told = Told { host, scheme: exchange.scheme, element: element.clone() };
    // Several requests of an HTTP/2 connection may be first; each tells what it wrote itself.
    exchange.connection.told.set(told).ok();
    Some(element)
}

/// One element of `Forwarded`.
fn element(peer: IpAddr, scheme: &str, host: Option<&str>) -> String {
    let mut element = String::with_capacity(80);
    match peer {
        IpAddr::V4(peer) => {
            // Octet by octet: the general formatting machinery costs more than everything else here.
            element.push_str("for=");
            for (index, octet) in peer.octets().into_iter().enumerate() {
                if index > 0 {
                    element.push('.');
                }
                push_octet(&mut element, octet);
            }
        }
        IpAddr::V6(peer) => element.extend(["for=\"[", &peer.to_string(), "]\""]),
    }
    element.push_str(";proto=");
    element.push_str(scheme);
    if let Some(host) = host {
        let quote = if host.contains(':') { "\"" } else { "" };
        element.extend([";host=", quote, host, quote]);
    }
    element
}

fn push_octet(text: &mut String, octet: u8) {
    for (place, digit) in [(100, octet / 100), (10, octet / 10 % 10), (1, octet % 10)] {
        if octet >= place || place == 1 {
            text.push(char::from(b'0' + digit));
        }
    }
}

/// Adds an element to a list that may be there.
fn append(headers: &mut HeaderMap, name: HeaderName, element: HeaderValue) {
    let value = match headers.get(&name) {
        Some(known) => HeaderValue::from_bytes(&[known.as_bytes(), b", ", element.as_bytes()].concat()),
        None => Ok(element),
    };
    // Several lines are one list; what was in the others was read above, and the last line ends it.
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

fn standard(headers: &HeaderMap) -> Vec<Hop> {
    let lines = headers.get_all(header::FORWARDED).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| split(line, ',')).map(hop).collect()
}

fn hop(element: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(element, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.client = address(value),
            "proto" => hop.scheme = scheme(value),
            "host" => hop.host = host(value),
            _ => {}
        }
    }
    hop
}

fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
    let mut hops: Vec<_> = lines
        .flat_map(|line| line.split(','))
        .map(|client| Hop { client: address(client.trim()), ..Hop::default() })
        .collect();
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // There is one scheme and one host for all hops: those that the client used.
    if let Some(last) = hops.last_mut() {
        last.scheme = text(&X_FORWARDED_PROTO).and_then(scheme);
        last.host = text(&X_FORWARDED_HOST).and_then(host);
    }
    hops
}

/// The parts between separators that are not within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |character| {
        is_quoted ^= character == '"';
        character == separator && !is_quoted
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

/// An address with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let parsed = bare.unwrap_or(text).parse().or_else(|_| without_port(text).parse());
    parsed.ok().map(|address: IpAddr| address.to_canonical())
}

fn scheme(text: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|known| text.eq_ignore_ascii_case(known))
}

fn host(text: &str) -> Option<Box<str>> {
    let host = without_port(text);
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    (!host.is_empty() && host.bytes().all(is_host)).then(|| host.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_are_read_with_quotes_ports_and_brackets() {
        for (element, client, scheme, host) in [
            ("for=192.0.2.1", Some("192.0.2.1"), None, None),
            ("For=\"192.0.2.1:4711\";Proto=HTTPS", Some("192.0.2.1"), Some("https"), None),
            ("for=\"[2001:db8::1]:4711\";host=\"A.example:8080\"", Some("2001:db8::1"), None, Some("a.example")),
            ("for=unknown;proto=gopher", None, None, None),
            ("for=_hidden", None, None, None),
        ] {
            let expected = Hop { client: client.map(|text| text.parse().unwrap()), scheme, host: host.map(Into::into) };
            assert_eq!(hop(element), expected, "{element}");
        }
    }

    #[test]
    fn an_element_is_written_as_it_is_read() {
        for peer in ["0.0.0.0", "10.20.30.255", "192.0.2.107", "2001:db8::1"] {
            let peer: IpAddr = peer.parse().unwrap();
            let written = element(peer, "https", Some("a.example:8443"));
            let expected = Hop { client: Some(peer), scheme: Some("https"), host: Some("a.example".into()) };
            assert_eq!(hop(&written), expected, "{written}");
        }
    }

    #[test]
    fn a_comma_in_quotes_separates_nothing() {
        let parts: Vec<_> = split("for=\"a,b\", for=c", ',').collect();
        assert_eq!(parts, ["for=\"a,b\"", "for=c"]);
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(text: String) {
            for element in split(&text, ',') {
                hop(element);
            }
            address(&text);
        }
    }
}
