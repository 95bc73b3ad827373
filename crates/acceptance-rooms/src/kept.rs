//! One room in a folder, as a process finds it when it starts.

use std::path::Path;
use std::sync::Arc;

use rooms::{Durability, Fairness, Inlet, KeptRoom, Rooms, Settings, Whereabouts};
use secrets::{Masters, Vault};
use waiting_room::Rules;

/// A room whose number nobody moves but an operator, by these rules.
pub(crate) fn settings(rules: Rules) -> Settings {
    Settings {
        event: "Sample".into(),
        rules,
        issuer: "https://wait.example".into(),
        validity: 3600,
        inlet: Inlet::Manual,
        durability: Durability::Process,
        openid: None,
        fairness: Fairness::default(),
        alarm: None,
        metrics_events: false,
        page: Arc::default(),
    }
}

/// The rooms of a folder, with one that is used.
pub(crate) fn open(folder: &Path, settings: Settings) -> (Rooms, Arc<KeptRoom>) {
    let vault = Vault::open(&folder.join("secrets"), Masters::File(folder.join("master.key"))).unwrap();
    let rooms = Rooms::open(&folder.join("rooms"), Arc::new(vault), 1).unwrap();
    rooms.set([("sale".to_owned(), settings)]);
    assert_eq!(rooms.take().unwrap(), Whereabouts::Here);
    let room = rooms.named("sale").unwrap();
    (rooms, room)
}
