//! Real servers for tests: PostgreSQL, Redis (or Valkey), NATS and `OpenBao`, each in a folder of its
//! own, on a free port of loopback.
//!
//! [`Postgres::shared`] and [`Redis::shared`] use the server that an address in the environment names, so that hundreds of
//! tests need not start one each: the test command starts them and sets [`POSTGRES`] and [`REDIS`]. Without them each test
//! starts its own. A server ends with the value that stands for it.

#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "only tests use it, and what is missing is to be said at once"
)]

mod nats;
mod openbao;
mod postgres;
mod process;
mod redis;

pub use self::nats::{Nats, Stored};
pub use self::openbao::OpenBao;
pub use self::postgres::{Database, Postgres};
pub use self::redis::Redis;

/// The variable with the address of a PostgreSQL server, such as `postgres://postgres@127.0.0.1:5433`.
pub const POSTGRES: &str = "VESTIBULE_TEST_POSTGRES";
/// The variable with the address of a Redis server, such as `redis://127.0.0.1:6380`.
pub const REDIS: &str = "VESTIBULE_TEST_REDIS";
