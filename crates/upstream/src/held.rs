//! A TCP connection below TLS, which can hold back what is written for a moment, so that it goes out together with what
//! follows.
//!
//! A handshake ends with session tickets, and a connection with a farewell (RFC 8446, sections 4.6.1 and 6.1). Each would
//! be a write of some 40 bytes by itself, and costs as much as an answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Nothing is held back beyond this.
const MOST: usize = 16 * 1024;

/// A TCP connection that may hold back what is written.
#[derive(Debug)]
pub struct Held {
    tcp: TcpStream,
    pending: BytesMut,
    until: Until,
}

/// When held bytes go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// With the next write, or the next flush.
    Now,
    /// When there is nothing to be read: the peer waits for them.
    Wait,
    /// Not by themselves.
    Released,
}

impl Held {
    /// A connection that holds nothing back.
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, pending: BytesMut::new(), until: Until::Now }
    }

    /// A connection whose handshake is held back until the client is waited for, and what ends it until something
    /// follows; see [`Self::release`].
    pub fn until_waiting(tcp: TcpStream) -> Self {
        let mut held = Self::new(tcp);
        held.until = Until::Wait;
        held
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Holds back what is written from now on.
    pub(crate) fn hold(&mut self) {
        self.until = Until::Released;
    }

    /// Lets go with the next write or flush what is held.
    pub fn release(&mut self) {
        self.until = Until::Now;
    }

    /// Writes what is held, and `more` behind it; answers how much of `more` was written.
    fn poll_out(&mut self, context: &mut Context<'_>, more: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.pending.is_empty() {
            return Pin::new(&mut self.tcp).poll_write_vectored(context, more);
        }
        let mut slices = [io::IoSlice::new(&[]); 8];
        for (slice, part) in
            slices.iter_mut().zip(std::iter::once(&self.pending[..]).chain(more.iter().map(|part| &**part)))
        {
            *slice = io::IoSlice::new(part);
        }
        let written = ready!(Pin::new(&mut self.tcp).poll_write_vectored(context, &slices))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_held = written.min(self.pending.len());
        self.pending.advance(of_held);
        if !self.pending.is_empty() {
            // The rest is not taken; the kernel has said so only by taking less.
            return self.poll_out(context, more);
        }
        self.pending = BytesMut::new();
        if written == of_held && more.iter().any(|part| !part.is_empty()) {
            return self.poll_out(context, more);
        }
        Poll::Ready(Ok(written - of_held))
    }

    fn poll_let_go(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pending.is_empty() { Poll::Ready(Ok(())) } else { self.poll_out(context, &[]).map_ok(drop) }
    }
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.tcp).poll_read(context, into);
        if read.is_pending() && self.until == Until::Wait {
            // What is not taken at once goes out when the reader is asked again: the kernel wakes it for either.
            if let Poll::Ready(Err(error)) = self.poll_let_go(context) {
                return Poll::Ready(Err(error));
            }
        }
        read
    }
}

impl AsyncWrite for Held {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let more = parts.iter().map(|part| part.len()).sum::<usize>();
        if self.until == Until::Now || self.pending.len() + more > MOST {
            return self.poll_out(context, parts);
        }
        for part in parts {
            self.pending.extend_from_slice(part);
        }
        Poll::Ready(Ok(more))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.until == Until::Now { self.poll_let_go(context) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_let_go(context))?;
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl Drop for Held {
    /// An alert that ends a handshake still goes out, if the kernel takes it at once.
    fn drop(&mut self) {
        if !self.pending.is_empty() {
            // There is nobody left to be told of a failure.
            drop(self.tcp.try_write(&self.pending));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{IoSlice, Read};
    use std::net::{TcpListener, TcpStream as Peer};
    use std::task::Waker;

    /// A connection and its other end, whose kernel takes little at once.
    fn pair() -> (TcpStream, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = listener.accept().unwrap().0;
        tcp.set_nonblocking(true).unwrap();
        (TcpStream::from_std(tcp).unwrap(), peer)
    }

    /// What the other end has by now.
    fn come(peer: &mut Peer) -> Vec<u8> {
        peer.set_nonblocking(true).unwrap();
        let mut came = Vec::new();
        match peer.read_to_end(&mut came) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => came,
            end => panic!("{end:?}"),
        }
    }

    fn write(held: &mut Held, parts: &[&[u8]]) -> usize {
        let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let Poll::Ready(written) = Pin::new(held).poll_write_vectored(&mut Context::from_waker(Waker::noop()), &parts)
        else {
            return 0;
        };
        written.unwrap()
    }

    fn read(held: &mut Held) -> Poll<io::Result<()>> {
        Pin::new(held).poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut [0; 8]))
    }

    #[tokio::test]
    async fn a_flight_goes_out_when_the_answer_to_it_is_waited_for_and_what_ends_it_with_what_follows() {
        let (tcp, mut peer) = pair();
        tcp.writable().await.unwrap();
        let mut held = Held::until_waiting(tcp);

        assert_eq!(write(&mut held, &[b"server", b" hello"]), 12);
        assert_eq!(come(&mut peer), b"");
        assert!(read(&mut held).is_pending());
        assert_eq!(come(&mut peer), b"server hello");

        assert_eq!(write(&mut held, &[b"ticket, "]), 8);
        held.release();
        assert!(read(&mut held).is_pending());
        assert_eq!(come(&mut peer), b"");
        assert_eq!(write(&mut held, &[b"answer"]), 6);
        assert_eq!(come(&mut peer), b"ticket, answer");
    }

    #[tokio::test]
    async fn what_is_held_goes_out_in_order_however_little_the_kernel_takes() {
        let (tcp, mut peer) = pair();
        rustix::net::sockopt::set_socket_send_buffer_size(&tcp, 4096).unwrap();
        tcp.writable().await.unwrap();
        let mut held = Held::new(tcp);
        let all: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
        let mut came = Vec::new();

        let mut left = &all[..];
        let mut round = 0;
        while !left.is_empty() || !held.pending.is_empty() {
            round += 1;
            if round % 3 == 0 {
                held.hold();
            } else {
                held.release();
            }
            let part = &left[..left.len().min(round * 37 % 9000)];
            let (first, second) = part.split_at(part.len() / 3);
            left = &left[write(&mut held, &[first, second])..];
            if left.is_empty() {
                held.release();
                drop(Pin::new(&mut held).poll_flush(&mut Context::from_waker(Waker::noop())));
            }
            came.extend(come(&mut peer));
            tokio::task::yield_now().await;
        }
        while came.len() < all.len() {
            came.extend(come(&mut peer));
        }
        assert!(came == all);
    }

    #[tokio::test]
    async fn an_alert_still_goes_out_when_the_connection_is_dropped() {
        let (tcp, mut peer) = pair();
        tcp.writable().await.unwrap();
        let mut held = Held::until_waiting(tcp);
        write(&mut held, &[b"alert"]);
        drop(held);

        let mut came = String::new();
        peer.read_to_string(&mut came).unwrap();
        assert_eq!(came, "alert");
    }
}
