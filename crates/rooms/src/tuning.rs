//! What an operator sets by hand while a room is under way: the inlet, and where the serving number is.

use waiting_room::{Cause, Room, Seconds, Tuned};

use crate::{Inlet, KeptRoom, Trouble};

impl KeptRoom {
    /// Has an operator set the inlet until somebody sets another one, or, with none, leave it to the settings again. Whether
    /// that changed anything.
    pub async fn tune(&self, tuned: Option<Tuned>, now: Seconds) -> Result<bool, Trouble> {
        let (changed, ()) = self.change(|room| room.tune(tuned, now), |_| ()).await?;
        Ok(changed)
    }

    /// Moves the serving number for a person, who lowers it to 0 at most; returns by how much it moved. Programs move it by
    /// [`Self::move_by`], and below that: what they take back and give again adds up.
    pub async fn move_by_hand(&self, by: i64, now: Seconds) -> Result<i64, Trouble> {
        let (rules, mut moved) = (self.settings().rules, 0);
        let decide = |room: &Room| {
            moved = room.within_reach(by);
            let is_at_its_end = by != 0 && moved == 0;
            if is_at_its_end { None } else { room.move_by(moved, now, Cause::Operator, &rules) }
        };
        self.change(decide, |_| ()).await?;
        Ok(moved)
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
    async fn by_hand_the_serving_number_is_lowered_to_nothing_at_most() {
        let scene = Scene::new();
        let now = scene.now.get();
        for (by, moved, serving) in [(3, 3, "3"), (-100, -3, "0"), (-1, 0, "0"), (5, 5, "5")] {
            assert_eq!(scene.room.move_by_hand(by, now).await.unwrap(), moved, "{by}");
            assert_eq!(scene.serving().await, serving, "{by}");
        }
        scene.room.move_by(-7, now).await.unwrap();
        assert_eq!(scene.room.move_by_hand(-1, now).await.unwrap(), 0, "a program may have gone further");
        assert_eq!(scene.serving().await, "-2");
    }

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
