//! A host with or without a port, as in `Host` and in request targets (RFC 9110, section 7.2).

/// The parts of an authority without user information, which HTTP does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// A name or an address; an IPv6 address with its brackets.
    pub(crate) host: &'a [u8],
    /// The port, if there is one.
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads an authority.
    ///
    /// Stricter than RFC 3986 for names: those with percent-encoding and with delimiters exist only in attacks.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let length = match bytes.first()? {
            b'[' => address_length(bytes)?,
            _ => bytes.iter().position(|byte| !is_name(*byte)).unwrap_or(bytes.len()),
        };
        let (host, rest) = bytes.split_at_checked(length)?;
        if host.is_empty() {
            return None;
        }
        let port = match rest {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// Whether both mean the same, where a missing port is `default`.
    pub(crate) fn is_same(&self, other: &Self, default: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host) && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

/// Whether a text is what `Host` may say: a name or an address, with or without a port, and no user.
pub fn is_host(bytes: &[u8]) -> bool {
    Authority::parse(bytes).is_some()
}

/// The length of an IPv6 address in brackets.
fn address_length(bytes: &[u8]) -> Option<usize> {
    let close = bytes.iter().position(|byte| *byte == b']')?;
    let address = std::str::from_utf8(bytes.get(1..close)?).ok()?;
    address.parse::<std::net::Ipv6Addr>().ok()?;
    Some(close + 1)
}

fn port(digits: &[u8]) -> Option<u16> {
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let port = digits.iter().fold(0, |port: u32, digit| port * 10 + u32::from(digit - b'0'));
    u16::try_from(port).ok()
}

#[inline]
fn is_name(byte: u8) -> bool {
    IS_NAME.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Letters, digits and what else is unreserved (RFC 3986, section 2.3).
#[expect(clippy::indexing_slicing, reason = "in a constant, an index out of bounds does not compile")]
static IS_NAME: [bool; 256] = {
    let mut is_name = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        is_name[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    is_name
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_with_an_optional_port() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("example.com:", "example.com", None),
            ("a_b.example:8080", "a_b.example", Some(8080)),
            ("127.0.0.1:65535", "127.0.0.1", Some(65535)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::7]:443", "[2001:db8::7]", Some(443)),
        ] {
            assert_eq!(Authority::parse(text.as_bytes()), Some(Authority { host: host.as_bytes(), port }), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_host() {
        for text in [
            "",
            ":80",
            "a b",
            "user@example.com",
            "user:pass@example.com",
            "a,b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "ex%61mple",
            "example.com:x",
            "example.com:65536",
            "example.com:000080",
            "example.com:80:80",
            "[::1",
            "[]",
            "[::1]x",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "::1",
            "a\tb",
            "\u{fc}.example",
        ] {
            assert_eq!(Authority::parse(text.as_bytes()), None, "{text}");
        }
    }
}
