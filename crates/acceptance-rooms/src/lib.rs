//! Tests only: what is noticed of waiting rooms that several nodes share, by scripts that sign, by clients of `OpenID`, of visits
//! that end, and of what lies around rooms.

#[cfg(test)]
mod alarm;
#[cfg(test)]
mod announced;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod openid_clients;
#[cfg(test)]
mod past;
#[cfg(test)]
mod signing;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod together;
#[cfg(test)]
mod visits;
