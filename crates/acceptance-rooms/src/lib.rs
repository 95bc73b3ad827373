//! Tests only: what is noticed of waiting rooms that several nodes share, by scripts that sign, by those who send what is wrong,
//! and after a process was killed.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod joins_killed;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod lottery_killed;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod signing;
