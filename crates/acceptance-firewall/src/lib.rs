//! Tests only: what clients and operators notice of the firewall, on one node and on several.

#[cfg(test)]
mod firewall;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod plugins;
