//! Tests only: what is noticed of waiting rooms that several nodes share, by scripts that sign, by clients of `OpenID`, and of visits that end.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod openid_clients;
#[cfg(test)]
mod signing;
#[cfg(test)]
mod visits;
