//! Tests only: what clients, operators and neighbours of a gateway notice, one module for each chapter of promises.

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
mod alerts;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod backends;
#[cfg(test)]
mod billing;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod completion;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod cutting;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod interim;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod nginx;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod partner_keys;
#[cfg(test)]
mod partners;
#[cfg(test)]
mod records;
#[cfg(test)]
mod room;
#[cfg(test)]
mod room_activation;
#[cfg(test)]
mod room_events;
#[cfg(test)]
mod room_fairness;
#[cfg(test)]
mod room_states;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shipping;
#[cfg(test)]
mod shipping_servers;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod transit;
#[cfg(test)]
mod tunnels;
#[cfg(test)]
mod usage_events;
#[cfg(test)]
mod usage_nats;
#[cfg(test)]
mod waiting_room;
#[cfg(test)]
mod webhooks;
