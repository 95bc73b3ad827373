//! Requests as Apache 2.4 reads them, as strict as it is by default: what it refuses, no rule sees.

/// A request that rules see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Vec<u8>,
    /// The target.
    pub target: Vec<u8>,
    /// The protocol, `HTTP/0.9` if none was sent.
    pub protocol: Vec<u8>,
    /// Whether the protocol stands in the request line.
    pub is_versioned: bool,
    /// Headers; those of one name are one.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

/// What becomes of the bytes that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A request.
    Request(Box<Head>),
    /// An answer before any rule.
    Refused(u16),
}

/// Reads a request.
pub fn parse(raw: &[u8]) -> Read {
    match request(raw) {
        Some(head) => Read::Request(Box::new(head)),
        None => Read::Refused(400),
    }
}

fn request(raw: &[u8]) -> Option<Head> {
    let (line, mut rest) = line(raw);
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let (method, target, version) = match words.as_slice() {
        [method, target] => (*method, *target, None),
        [method, target, version] => (*method, *target, Some(*version).filter(|version| !version.is_empty())),
        _ => return None,
    };
    let is_token = |text: &[u8]| !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte));
    let has_fragment = target.contains(&b'#');
    let is_target = !target.is_empty() && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f) && !has_fragment;
    let is_path = matches!(target.first(), Some(b'/' | b'*')) || memchr_find(target, b"://");
    let is_authority = method == b"CONNECT" && target.contains(&b':');
    if !is_token(method) || !is_target || !(is_path || is_authority) {
        return None;
    }
    let Some(version) = version else {
        return (method == b"GET").then(|| head(method, target, None, Vec::new(), Vec::new()));
    };
    let digits = version.strip_prefix(b"HTTP/")?;
    if !matches!(digits, [b'1'..=b'9', b'.', b'0'..=b'9']) && !matches!(digits, [b'2'..=b'9']) {
        return None;
    }
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    loop {
        let (line, after) = self::line(rest);
        rest = after;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?.trim_ascii());
        let is_value = value.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t');
        if !is_token(name) || !is_value {
            return None;
        }
        match headers.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, known)) => {
                known.extend_from_slice(b", ");
                known.extend_from_slice(value);
            }
            None => headers.push((name.to_vec(), value.to_vec())),
        }
    }
    let host = value_of(&headers, b"host");
    if (digits >= &b"1.1"[..] && host.is_none_or(<[u8]>::is_empty)) || host.is_some_and(|host| !is_host(host)) {
        return None;
    }
    let body = body(&mut headers, rest)?;
    Some(head(method, target, Some(version), headers, body))
}

fn head(method: &[u8], target: &[u8], version: Option<&[u8]>, headers: Vec<(Vec<u8>, Vec<u8>)>, body: Vec<u8>) -> Head {
    Head {
        method: method.to_vec(),
        target: target.to_vec(),
        protocol: version.unwrap_or(b"HTTP/0.9").to_vec(),
        is_versioned: version.is_some(),
        headers,
        body,
    }
}

/// A line without its end, and what follows it.
fn line(raw: &[u8]) -> (&[u8], &[u8]) {
    match raw.iter().position(|byte| *byte == b'\n') {
        Some(at) => {
            let line = raw.get(..at).unwrap_or_default();
            (line.strip_suffix(b"\r").unwrap_or(line), raw.get(at + 1..).unwrap_or_default())
        }
        None => (raw, &[]),
    }
}

/// The body, by its length or in chunks; Apache forgets the length if there are chunks.
fn body(headers: &mut Vec<(Vec<u8>, Vec<u8>)>, rest: &[u8]) -> Option<Vec<u8>> {
    if value_of(headers, b"transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
        return unchunked(rest);
    }
    let Some(length) = value_of(headers, b"content-length") else { return Some(Vec::new()) };
    if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = std::str::from_utf8(length).ok()?.parse::<usize>().ok()?;
    Some(rest.get(..length.min(rest.len())).unwrap_or_default().to_vec())
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let (size, after) = line(rest);
        let size = size.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(after.get(..size)?);
        rest = line(after.get(size..)?).1;
    }
}

fn value_of<'a>(headers: &'a [(Vec<u8>, Vec<u8>)], wanted: &[u8]) -> Option<&'a [u8]> {
    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_slice())
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A name or an address, and perhaps a port.
fn is_host(host: &[u8]) -> bool {
    let is_v6 = host.first() == Some(&b'[');
    let is_allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:".contains(byte) || (is_v6 && b"[]".contains(byte));
    host.iter().all(is_allowed)
}

fn memchr_find(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_headers_of_one_name_become_one() {
        let Read::Request(head) =
            parse(b"POST /a HTTP/1.1\r\nHost: x\r\nA: 1\r\na: 2\r\nContent-Length: 3\r\n\r\nabcd")
        else {
            panic!("refused");
        };
        assert_eq!(head.headers[1], (b"A".to_vec(), b"1, 2".to_vec()));
        assert_eq!(head.body, b"abc");
    }

    #[test]
    fn chunks_are_put_together() {
        let raw = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nHi \r\n3\r\nCRS\r\n0\r\n\r\n";
        let Read::Request(head) = parse(raw) else { panic!("refused") };
        assert_eq!(head.body, b"Hi CRS");
    }

    #[test]
    fn what_apache_refuses_is_refused() {
        for raw in [
            "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /#a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/0.9\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: \r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3;\r\n\r\nabc",
            "CONNECT a.example HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            assert_eq!(parse(raw.as_bytes()), Read::Refused(400), "{raw}");
        }
    }
}
