//! Tests only: what two servers could read differently, and what anybody may say of clients, never reaches a backend.

#![cfg_attr(
    test,
    expect(clippy::disallowed_methods, reason = "a test may panic and start tasks, and reads best without ceremony")
)]

#[cfg(test)]
mod ambiguous;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod leftovers;
#[cfg(test)]
mod neighbours;
#[cfg(test)]
mod readings;
