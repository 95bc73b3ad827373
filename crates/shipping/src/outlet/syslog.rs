//! Syslog: RFC 5424, over TCP with counted octets (RFC 6587), TLS (RFC 5425) or UDP (RFC 5426).

use std::io;

use bytes::Bytes;
use model::logs::{Facility, Syslog as Settings, Transport};
use problem::{Finding, Pointer};
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use upstream::socket::{Dialer, Socket, in_time};

use super::Sent;
use crate::batch::Batch;
use crate::layout::{Layout, plain};
use crate::record::{Record, Value};

/// A syslog server.
pub(crate) struct Syslog {
    dialer: Dialer,
    transport: Transport,
    /// `<PRI>1 `.
    begin: String,
    /// ` HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA `.
    names: String,
    layout: Layout,
    open: Mutex<Option<Socket>>,
}

impl Syslog {
    pub(crate) fn compile(settings: &Settings, layout: Layout, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let Settings { address, transport, tls, facility, hostname, app_name, .. } = settings;
        if tls.is_some() && *transport == Transport::Udp {
            return Err(vec![Finding::new(&at.at("tls"), "goes with `transport: tcp` only")]);
        }
        for (name, value, most) in [("hostname", hostname, 255), ("app_name", app_name, 48)] {
            if value.is_empty() || value.len() > most || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                let message = format!("is not 1 to {most} printable characters without a blank (RFC 5424, section 6)");
                return Err(vec![Finding::new(&at.at(name), message)]);
            }
        }
        let priority = code(*facility) * 8 + INFORMATIONAL;
        Ok(Self {
            dialer: Dialer::compile((address, &at.at("address")), tls.as_ref(), &at.at("tls"))?,
            transport: *transport,
            begin: format!("<{priority}>1 "),
            names: format!(" {hostname} {app_name} {} access - ", std::process::id()),
            layout,
            open: Mutex::new(None),
        })
    }

    /// Messages with their lengths before them, as TCP wants them.
    pub(crate) fn prepare(&self, batch: &Batch, which: &[usize]) -> Bytes {
        let (mut frames, mut message) = (Vec::with_capacity(which.len() * 640), Vec::new());
        for record in which.iter().filter_map(|index| Record::read(batch.record(*index)?)) {
            message.clear();
            message.extend_from_slice(self.begin.as_bytes());
            plain(&mut message, &Value::Time(record.time));
            message.extend_from_slice(self.names.as_bytes());
            self.layout.json(&mut message, &record);
            watch::text::number(&mut frames, message.len());
            frames.push(b' ');
            frames.extend_from_slice(&message);
        }
        frames.into()
    }

    pub(crate) async fn send(&self, frames: &[u8]) -> Sent {
        let sent = match self.transport {
            Transport::Tcp => self.stream(frames).await.map(|()| 0),
            Transport::Udp => self.datagrams(frames).await,
        };
        match sent {
            Ok(refused) => Sent::Taken { refused },
            Err(error) => Sent::later(error),
        }
    }

    async fn stream(&self, frames: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock().await;
        // Taken out: after a failure it is of no use.
        let mut socket = match open.take().filter(Socket::is_of_use) {
            Some(socket) => socket,
            None => self.dialer.connect().await?,
        };
        in_time(async {
            socket.write_all(frames).await?;
            socket.flush().await
        })
        .await?;
        *open = Some(socket);
        Ok(())
    }

    /// Sends each message in a datagram of its own; says how many were too long for one.
    async fn datagrams(&self, mut frames: &[u8]) -> io::Result<u64> {
        let address = tokio::net::lookup_host(&self.dialer.address).await?.next();
        let address = address.ok_or(io::ErrorKind::NotFound)?;
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        let mut refused = 0;
        while let Some((message, rest)) = first_frame(frames) {
            frames = rest;
            match in_time(socket.send(message)).await {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(MESSAGE_TOO_LONG) => refused += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(refused)
    }
}

/// The first message of frames with counted octets, and what follows.
fn first_frame(frames: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = frames.iter().position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(frames.get(..blank)?).ok()?.parse().ok()?;
    frames.get(blank + 1..)?.split_at_checked(length)
}

fn code(facility: Facility) -> u8 {
    match facility {
        Facility::User => 1,
        Facility::Daemon => 3,
        Facility::Audit => 13,
        Facility::Local0 => 16,
        Facility::Local1 => 17,
        Facility::Local2 => 18,
        Facility::Local3 => 19,
        Facility::Local4 => 20,
        Facility::Local5 => 21,
        Facility::Local6 => 22,
        Facility::Local7 => 23,
    }
}

const INFORMATIONAL: u8 = 6;
/// `EMSGSIZE`.
const MESSAGE_TOO_LONG: i32 = 90;
