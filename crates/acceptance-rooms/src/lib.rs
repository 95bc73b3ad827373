//! Tests only: what is noticed of waiting rooms that several nodes share, by scripts that sign, and by clients of `OpenID`.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod openid_clients;
#[cfg(test)]
mod signing;
