//! What every client is held to. Each limit is on by default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Size, Span};

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $unit:ty = $default:expr;)*) => {
        /// Hard limits on what clients may send and hold. What is left out keeps its default.
        #[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Limits {
            $($(#[$doc])* pub $name: Option<$unit>,)*
        }

        /// [`Limits`] with every value known.
        #[derive(Clone, Debug)]
        pub struct Settled {
            $($(#[$doc])* pub $name: $unit,)*
        }

        impl Limits {
            /// Every limit: from here, else from `outer`, else the default.
            pub fn settle(&self, outer: &Self) -> Settled {
                Settled { $($name: self.$name.or(outer.$name).unwrap_or($default),)* }
            }
        }
    };
}

limits! {
    /// Bytes of a request's head, its request line included. Beyond: 431. Default 32KiB.
    head_bytes: Size = Size::new(32 * 1024);
    /// Fields of a request's head. Beyond: 431. Default 100.
    headers: u32 = 100;
    /// Bytes of a request's target. Beyond: 414. Default 8KiB.
    uri_bytes: Size = Size::new(8 * 1024);
    /// Bytes of a request's body. Beyond: 413. Default 100MiB.
    body_bytes: Size = Size::new(100 * 1024 * 1024);
    /// From the first byte of a connection or request to the end of its head, TLS handshake included. Default 10s.
    head_time: Span = Span::seconds(10);
    /// Bytes a second that a body must bring, and an answer must be taken, on average. Default 240B.
    min_rate: Size = Size::new(240);
    /// How long a body may be below `min_rate` before it is cut. Default 10s.
    min_rate_grace: Span = Span::seconds(10);
    /// How long a connection may be idle between requests. Default 60s.
    idle_time: Span = Span::seconds(60);
    /// Requests on one connection before it is closed in order. Default 100000.
    requests_per_connection: u32 = 100_000;
    /// Connections of one listener at a time. Default 65536.
    connections: u32 = 65_536;
    /// Connections of one client address at a time. Default 4096.
    connections_per_address: u32 = 4_096;
    /// HTTP/2: streams of one connection at a time. Default 128.
    http2_streams: u32 = 128;
    /// HTTP/2: resets a second, by either side, before a connection is cut. Default 200.
    http2_resets_per_second: u32 = 200;
    /// HTTP/2: frames a second that carry nothing of a request (SETTINGS, PING, PRIORITY, empty DATA and others), before
    /// a connection is cut. Default 1000.
    http2_control_frames_per_second: u32 = 1_000;
    /// HTTP/2: bytes of the HPACK table. Default 4KiB.
    http2_header_table: Size = Size::new(4 * 1024);
    /// How long an upgraded connection (WebSocket and others) may be silent. Default 1h.
    tunnel_idle_time: Span = Span::seconds(3600);
}
