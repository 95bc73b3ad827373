//! The PROXY protocol, versions 1 and 2, as load balancers send it in front of a connection.

use std::io;
use std::net::SocketAddr;

use model::listener::ProxyProtocol;
use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest header that is read: version 2 with room for its extensions.
const LONGEST: usize = 4096;

/// The longest line of version 1.
const LONGEST_LINE: usize = 107;

/// What a header tells about a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// Who connected.
    pub source: SocketAddr,
    /// What was connected to.
    pub destination: SocketAddr,
}

/// Reads a header and no byte behind it. None if there is none, or it names no addresses.
pub(crate) async fn read(tcp: &mut TcpStream, mode: ProxyProtocol, is_trusted: bool) -> io::Result<Option<Told>> {
    let refused = |message: &str| Err(io::Error::new(io::ErrorKind::InvalidData, message.to_owned()));
    if !is_trusted {
        return match mode {
            ProxyProtocol::Required => refused("the peer is no trusted proxy"),
            ProxyProtocol::Optional | ProxyProtocol::Off => Ok(None),
        };
    }
    let mut header = Vec::new();
    let mut peeked = vec![0; LONGEST];
    loop {
        let known = header.len();
        let seen = tcp.peek(peeked.get_mut(known..).unwrap_or_default()).await?;
        if seen == 0 {
            return refused("it ended within the PROXY protocol header, or the header is too long");
        }
        header.extend_from_slice(peeked.get(known..known + seen).unwrap_or_default());
        match parse(&header) {
            Parsed::No if mode == ProxyProtocol::Optional && known == 0 => return Ok(None),
            Parsed::No => return refused("it does not begin with a PROXY protocol header"),
            Parsed::More => drop(tcp.read_exact(peeked.get_mut(known..known + seen).unwrap_or_default()).await?),
            Parsed::Yes(told, length) => {
                tcp.read_exact(peeked.get_mut(known..length).unwrap_or_default()).await?;
                return Ok(told);
            }
        }
    }
}

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// What is told, and the header's length.
    Yes(Option<Told>, usize),
    /// It may become a header.
    More,
    /// It is none.
    No,
}

/// Reads a header from the beginning of what came so far. Total: any bytes may be passed.
pub fn parse(bytes: &[u8]) -> Parsed {
    // The parser takes a line that ends within a port for a wrong one, so version 1 waits for its whole line.
    if bytes.starts_with(b"PROXY ") && bytes.len() < LONGEST_LINE && !bytes.contains(&b'\n') {
        return Parsed::More;
    }
    let result = HeaderResult::parse(bytes);
    if result.is_incomplete() {
        return Parsed::More;
    }
    match result {
        HeaderResult::V1(Ok(header)) => {
            let told = match header.addresses {
                v1::Addresses::Tcp4(a) => {
                    Some(told((a.source_address, a.source_port), (a.destination_address, a.destination_port)))
                }
                v1::Addresses::Tcp6(a) => {
                    Some(told((a.source_address, a.source_port), (a.destination_address, a.destination_port)))
                }
                v1::Addresses::Unknown => None,
            };
            Parsed::Yes(told, header.header.len())
        }
        HeaderResult::V2(Ok(header)) => {
            let addresses = match (header.command, header.addresses) {
                (v2::Command::Proxy, v2::Addresses::IPv4(a)) => {
                    Some(told((a.source_address, a.source_port), (a.destination_address, a.destination_port)))
                }
                (v2::Command::Proxy, v2::Addresses::IPv6(a)) => {
                    Some(told((a.source_address, a.source_port), (a.destination_address, a.destination_port)))
                }
                _ => None,
            };
            Parsed::Yes(addresses, header.as_bytes().len())
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Parsed::No,
    }
}

fn told(source: impl Into<SocketAddr>, destination: impl Into<SocketAddr>) -> Told {
    Told { source: source.into(), destination: destination.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\n";

    fn v2() -> Vec<u8> {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        header.extend([192, 0, 2, 7, 198, 51, 100, 1, 0x13, 0x88, 0x01, 0xbb]);
        header
    }

    #[test]
    fn both_versions_tell_source_and_destination_and_stop_at_their_end() {
        let expected = || {
            Some(Told { source: "192.0.2.7:5000".parse().unwrap(), destination: "198.51.100.1:443".parse().unwrap() })
        };
        for header in [V1.to_vec(), v2()] {
            let length = header.len();
            let with_more = [header, b"GET / HTTP/1.1\r\n".to_vec()].concat();
            assert_eq!(parse(&with_more), Parsed::Yes(expected(), length));
        }
    }

    #[test]
    fn a_header_may_come_in_pieces_and_a_request_is_none() {
        for header in [V1.to_vec(), v2()] {
            for end in 1..header.len() {
                assert_eq!(parse(&header[..end]), Parsed::More, "{end}");
            }
        }
        assert_eq!(parse(b"GET / HTTP/1.1\r\n\r\n"), Parsed::No);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}
