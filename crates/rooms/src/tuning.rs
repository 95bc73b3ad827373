//! An inlet that an operator sets while a room is under way, and how that lies in files.

use journal::wire::{Source, put_number};
use waiting_room::{MaxSize, Periodic, Room, Seconds, Tuned};

use crate::{Inlet, KeptRoom, Trouble};

impl KeptRoom {
    /// Has an operator set the inlet until somebody sets another one, or, with none, leave it to the settings again. Whether
    /// that changed anything.
    pub async fn tune(&self, tuned: Option<Tuned>, now: Seconds) -> Result<bool, Trouble> {
        let (changed, ()) = self.change(|room| room.tune(tuned, now), |_| ()).await?;
        Ok(changed)
    }

    /// What raises the serving number by itself, and whether an operator said so.
    pub fn inlet(&self) -> Result<(Inlet, bool), Trouble> {
        let settings = self.settings();
        self.look(|room| (in_force(settings.inlet, room), room.tuned().is_some()))
    }
}

/// The inlet that is in force, where the settings have this one.
pub(crate) fn in_force(settings: Inlet, room: &Room) -> Inlet {
    match room.tuned() {
        None => settings,
        Some(Tuned::Manual) => Inlet::Manual,
        Some(Tuned::Periodic(inlet)) => Inlet::Periodic(inlet),
        Some(Tuned::MaxSize(inlet)) => Inlet::MaxSize(inlet),
    }
}

/// Writes what an operator set.
pub(crate) fn put(to: &mut Vec<u8>, tuned: Option<Tuned>) {
    match tuned {
        None => to.push(0),
        Some(Tuned::Manual) => to.push(1),
        Some(Tuned::Periodic(Periodic { by, every, from, until })) => {
            to.push(2);
            for number in [by, every, from] {
                put_number(to, u64::from(number));
            }
            put_number(to, until.map_or(0, |until| u64::from(until) + 1));
        }
        Some(Tuned::MaxSize(MaxSize { size })) => {
            to.push(3);
            put_number(to, u64::from(size));
        }
    }
}

/// What an operator set, or that it was left to the settings.
pub(crate) struct Set(pub(crate) Option<Tuned>);

/// What an operator set, as [`put`] wrote it.
pub(crate) fn read(source: &mut Source<'_>) -> Option<Set> {
    let [kind] = source.array()?;
    Some(Set(match kind {
        0 => None,
        1 => Some(Tuned::Manual),
        2 => {
            let (by, every, from) = (source.small()?, source.small()?, source.small()?);
            let until = match source.number()?.checked_sub(1) {
                Some(until) => Some(until.try_into().ok()?),
                None => None,
            };
            Some(Tuned::Periodic(Periodic { by, every, from, until }))
        }
        3 => Some(Tuned::MaxSize(MaxSize { size: source.small()? })),
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;

    #[tokio::test]
    async fn an_operator_sets_the_inlet_and_leaves_it_to_the_settings_again() {
        let scene = Scene::new();
        scene.joined(5).await;
        let (room, now) = (&scene.room, scene.now.get());
        let fast = Tuned::Periodic(Periodic { by: 2, every: 1, from: 0, until: None });
        assert!(room.tune(Some(fast), now).await.unwrap());
        scene.wait(1);
        scene.tick();
        assert_eq!(scene.serving().await, "2");

        let scene = scene.restarted();
        let periodic = Inlet::Periodic(Periodic { by: 2, every: 1, from: 0, until: None });
        assert_eq!(scene.room.inlet().unwrap(), (periodic, true), "a restart changes nothing");
        assert!(scene.room.tune(None, scene.now.get()).await.unwrap());
        scene.wait(1);
        scene.tick();
        assert_eq!((scene.serving().await.as_str(), scene.room.inlet().unwrap()), ("2", (Inlet::Manual, false)));
    }
}
