//! Tests only: what clients, operators and neighbours of a gateway notice, one module for each chapter of promises.

#[cfg(test)]
mod ambiguous;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod interim;
#[cfg(test)]
mod limits;
