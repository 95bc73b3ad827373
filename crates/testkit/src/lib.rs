//! A whole gateway in this process, stubs of the backends behind it, and clients that say exactly what they are told.
//!
//! Everything listens on port 0 of the loopback interface, and every wait has a limit. Deliberately not here: any
//! knowledge of what is right; that is in the tests.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a test may panic and start tasks; its helpers read best without ceremony"
)]

mod certificates;
mod curl;
mod gateway;
mod partner;
mod private_key;
mod reply;
mod stub;
mod wire;

use std::future::Future;
use std::time::Duration;

pub use self::certificates::{Asks, Authority, Certificate, request};
pub use self::curl::curl;
pub use self::gateway::Gateway;
pub use self::private_key::private_jwk;
pub use self::reply::Reply;
pub use self::stub::{Request, Stub, Talk};
pub use self::wire::Wire;

/// How long anything may take that is expected to happen.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until something is so, with a limit.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waits).await.is_ok(), "it never came true that {what}");
}

/// As [`eventually`], for what is asked for.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waits = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waits).await.is_ok(), "it never came true that {what}");
}

/// Awaits something that is expected to happen, with a limit.
pub async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(done) => done,
        Err(elapsed) => panic!("waited in vain for {what}: {elapsed}"),
    }
}
