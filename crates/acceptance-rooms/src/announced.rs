//! Shares of networks that one operator announces, by a file that says who announces what.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use maxminddb_writer::Database;
use maxminddb_writer::paths::IpAddrWithMask;
use testkit::{Gateway, Wire, until};

use crate::cluster::{json_of, room};

const DOCUMENT: &str = "
store: {embedded: ./data}
trusted_proxies: [127.0.0.0/8]
rooms: {sale: {event: Sample, caps: {allowance: 3, asn: {file: asn.mmdb, share: 10%}}}}
apis: {wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}}
";

/// Writes a file by which networks are announced by these numbers.
fn write(file: &Path, networks: &[(&str, u32)]) {
    let mut database = Database::default();
    database.metadata.database_type = "ASN".to_owned();
    (database.metadata.binary_format_major_version, database.metadata.build_epoch) = (2, 1);
    database.metadata.description = [("en".to_owned(), "For a test".to_owned())].into();
    for (network, number) in networks {
        let data = database.insert_value(BTreeMap::from([("autonomous_system_number", number)])).unwrap();
        database.insert_node(network.parse::<IpAddrWithMask>().unwrap(), data);
    }
    database.write_to(File::create(file).unwrap()).unwrap();
}

/// Somebody joins from there.
async fn join_from(gateway: &Gateway, client: &str) {
    let body = "{\"event_id\":\"Sample\"}";
    let head = format!(
        "POST /wait/assign_queue_num HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut wire: Wire = gateway.connect().await;
    let reply = wire.ask(head + body).await;
    assert!(json_of(&reply)["api_request_id"].is_string(), "{reply:?}");
}

/// How many came by everybody's lane, and by the slow one.
fn lanes(gateway: &Gateway) -> (u32, u32) {
    let counted = room(gateway).look(|room| (room.counters().queue, room.line().by_lane())).unwrap();
    let slow = counted.1.iter().find(|lane| &*lane.name == "slow").map_or(0, |lane| lane.visitors);
    (counted.0 - slow, slow)
}

#[tokio::test]
async fn networks_far_apart_that_one_operator_announces_have_a_share_together_by_a_file_that_may_change() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("asn.mmdb"), &[("10.0.0.0/8", 64500), ("172.16.0.0/12", 64500), ("192.0.2.0/24", 64501)]);
    let gateway = Gateway::in_folder(folder, DOCUMENT).await;
    for client in ["10.1.0.1", "172.16.0.1", "10.2.0.1", "172.17.0.1", "10.3.0.1"] {
        join_from(&gateway, client).await;
    }
    assert_eq!(lanes(&gateway), (3, 2), "three in any case, and the others wait longer");
    join_from(&gateway, "192.0.2.1").await;
    join_from(&gateway, "198.51.100.1").await;
    assert_eq!(lanes(&gateway), (5, 2), "those of others, and of nobody who is known");

    // From now on each of them is somebody else's.
    write(&gateway.folder().join("asn.mmdb"), &[("10.0.0.0/8", 64502), ("172.16.0.0/12", 64503)]);
    until("the file is read again", async || {
        let before = lanes(&gateway);
        join_from(&gateway, "172.18.0.1").await;
        lanes(&gateway).0 > before.0
    })
    .await;
}

#[tokio::test]
async fn a_file_that_says_nothing_of_networks_is_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("asn.mmdb"), "10.0.0.0/8,64500").unwrap();
    let (findings, folder) = Gateway::refusing_in(folder, DOCUMENT).await;
    assert!(findings.contains("/rooms/sale/caps/asn/file: "), "{findings}");
    assert!(findings.contains("no file of AS numbers"), "{findings}");
    std::fs::remove_file(folder.path().join("asn.mmdb")).unwrap();
    let (findings, _) = Gateway::refusing_in(folder, DOCUMENT).await;
    assert!(findings.contains("No such file"), "{findings}");
}
