//! Tests only: what is noticed of waiting rooms that several nodes share, by scripts that sign, by clients of `OpenID`, of visits
//! that end, of what lies around rooms, by those who send what is wrong, after a process was killed, and how long everybody waits.

#[cfg(test)]
mod alarm;
#[cfg(test)]
mod announced;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod joins_killed;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod lottery_killed;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod openid_clients;
#[cfg(test)]
mod past;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod signing;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod together;
#[cfg(test)]
mod visits;
#[cfg(test)]
mod wait_estimate;
