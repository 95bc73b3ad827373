//! Tests only: what is noticed of waiting rooms that several nodes share, and by scripts that sign.

#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        clippy::format_push_string,
        clippy::string_slice,
        reason = "a test may panic and start tasks, and reads best without ceremony"
    )
)]

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod signing;
