//! Tests only: what is noticed of waiting rooms that several nodes share, and by scripts that sign.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod signing;
