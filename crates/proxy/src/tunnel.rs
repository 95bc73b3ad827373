//! A connection after a switch of protocols: bytes in both directions, nothing else.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use alarm::{Alarm, Over};
use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use upstream::io::Io;

use crate::h1::Shared;
use crate::served::Tunnel;

/// Passes bytes in both directions until both sides have closed, neither said anything for too long, or what the tunnel
/// depends on is over.
pub(crate) async fn run(client: &Shared, tunnel: Tunnel, idle: Duration, alarm: &Alarm) -> Result<(), Over> {
    let flushed = poll_fn(|context| {
        let client = &mut *client.lock();
        client.outbox.poll_write(&mut client.io, context, drop)
    });
    match flushed.await {
        Ok(()) => relay(Side { client }, tunnel, idle, alarm).await,
        Err(_) => Ok(()),
    }
}

/// As [`run`], for any stream on the client's side.
pub(crate) async fn relay(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    tunnel: Tunnel,
    idle: Duration,
    alarm: &Alarm,
) -> Result<(), Over> {
    let Tunnel { io, said } = tunnel;
    // Whatever passes, passes here.
    let mut backend = Lively { io, alarm, idle };
    alarm.set(idle);
    let both = async {
        client.write_all(&said).await?;
        tokio::io::copy_bidirectional(&mut client, &mut backend).await
    };
    let mut both = pin!(both);
    let ended = poll_fn(|context| match both.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Ok(result.map(|_| ()))),
        Poll::Pending => match alarm.poll_over(context) {
            Poll::Ready(over) => Poll::Ready(Err(over)),
            Poll::Pending => alarm.poll_expired(context).map(|()| Ok(Err(io::ErrorKind::TimedOut.into()))),
        },
    })
    .await?;
    if let Err(error) = ended {
        tracing::debug!(%error, "a tunnel broke");
    }
    Ok(())
}

/// A connection whose every sign of life sets the time limit anew.
struct Lively<'a> {
    io: Io,
    alarm: &'a Alarm,
    idle: Duration,
}

impl Lively<'_> {
    fn note<T>(&self, poll: Poll<T>) -> Poll<T> {
        if poll.is_ready() {
            self.alarm.set(self.idle);
        }
        poll
    }
}

impl AsyncRead for Lively<'_> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(context, into);
        self.note(read)
    }
}

impl AsyncWrite for Lively<'_> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// The client's side of a tunnel, with what was read of it already in front.
struct Side<'a> {
    client: &'a Shared,
}

impl AsyncRead for Side<'_> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let client = &mut *self.client.lock();
        if !client.input.is_empty() {
            let take = client.input.len().min(into.remaining());
            into.put_slice(client.input.get(..take).unwrap_or_default());
            client.input.advance(take);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut client.io).poll_read(context, into)
    }
}

impl AsyncWrite for Side<'_> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.client.lock().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client.lock().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client.lock().io).poll_shutdown(context)
    }
}
