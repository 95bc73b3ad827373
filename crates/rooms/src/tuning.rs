//! An inlet that an operator sets while a room is under way.

use waiting_room::{Room, Seconds, Tuned};

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

#[cfg(test)]
mod tests {
    use waiting_room::Periodic;

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
