//! Whether a kept room lets visitors in, and who says so.

use waiting_room::{Schedule, Seconds, State};

use crate::{KeptRoom, Trouble};

/// What somebody sees of a room's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timetable {
    /// The state that it is in.
    pub state: State,
    /// When it changes by itself.
    pub schedule: Schedule,
}

impl Timetable {
    /// For how many seconds nobody need ask again, if something is to come: until it does, but no longer than an hour.
    pub fn pause(&self, now: Seconds) -> Option<u32> {
        let next = match self.state {
            State::Idle => self.schedule.next(now),
            State::PreQueue => self.schedule.opens.filter(|opens| *opens > now),
            State::Open | State::Paused | State::Closed | State::PassingEverybody => None,
        };
        next.map(|next| (next - now).min(HOUR))
    }
}

impl KeptRoom {
    /// The state that it is in, and what its schedule says.
    pub fn timetable(&self) -> Result<Timetable, Trouble> {
        Ok(Timetable { state: self.look(waiting_room::Room::state)?, schedule: self.settings().rules.schedule })
    }

    /// Has an operator set a state; whether that changed anything.
    pub async fn set_state(&self, state: State, now: Seconds) -> Result<bool, Trouble> {
        let (changed, ()) = self.change(|room| room.set_state(state, now), |_| ()).await?;
        Ok(changed)
    }

    /// Has the schedule decide again; whether that changed anything.
    pub async fn follow_schedule(&self, now: Seconds) -> Result<bool, Trouble> {
        let rules = self.settings().rules;
        let (changed, ()) = self.change(|room| room.follow_schedule(now, &rules), |_| ()).await?;
        Ok(changed)
    }
}

const HOUR: u32 = 3600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::tests::{Scene, settings};

    use serde_json::json;
    use waiting_room::Rules;

    fn scheduled() -> Settings {
        let schedule =
            Schedule { pre_queue: Some(1_800_000_100), opens: Some(1_800_000_200), closes: Some(1_800_000_900) };
        Settings { rules: Rules { schedule, ..Rules::default() }, ..settings() }
    }

    #[tokio::test]
    async fn a_room_opens_and_closes_to_the_second_whoever_asks_first() {
        let scene = Scene::with(scheduled());
        let (early, ()) = (scene.try_join().await, scene.wait(100));
        early.says(503, "The waiting room has not opened yet");
        assert_eq!(early.header("retry-after"), "100");
        let first = scene.join().await;
        scene.increment(1).await;
        scene.token(&first).await.says(202, "Request ID not being served yet");
        scene.wait(100);
        assert_eq!(scene.token(&first).await.status(), 200);
        scene.wait(700);
        scene.try_join().await.says(410, "The waiting room is closed");
        assert_eq!(scene.token(&first).await.status(), 200, "who is in stays in");
    }

    #[tokio::test]
    async fn what_an_operator_sets_is_there_after_a_restart() {
        let scene = Scene::new();
        let id = scene.join().await;
        scene.increment(1).await;
        assert!(scene.room.set_state(State::Paused, scene.now.get()).await.unwrap());
        let scene = scene.restarted();
        assert_eq!(scene.room.timetable().unwrap().state, State::Paused);
        scene.token(&id).await.says(202, "Request ID not being served yet");
        scene.room.set_state(State::Closed, scene.now.get()).await.unwrap();
        scene.token(&id).await.says(410, "The waiting room is closed");
        assert!(scene.room.follow_schedule(scene.now.get()).await.unwrap());
        assert_eq!(scene.token(&id).await.status(), 200);
    }

    #[tokio::test]
    async fn front_ends_see_the_turn_of_everybody_when_everybody_passes() {
        let scene = Scene::new();
        let ids = scene.joined(3).await;
        scene.room.set_state(State::PassingEverybody, scene.now.get()).await.unwrap();
        assert_eq!(scene.serving().await, "3");
        assert_eq!(scene.token(&ids[2]).await.status(), 200);
        let state = scene.get("/room_state?event_id=Sample").await;
        state.is(200, &json!({ "state": "passing-everybody" }));
        scene.room.follow_schedule(scene.now.get()).await.unwrap();
        assert_eq!(scene.serving().await, "0", "the serving number itself has not moved");
    }

    #[tokio::test]
    async fn the_state_is_told_with_what_the_schedule_says() {
        let scene = Scene::with(scheduled());
        let expected = json!({
            "state": "idle", "pre_queue": 1_800_000_100, "opens": 1_800_000_200, "closes": 1_800_000_900,
        });
        scene.get("/room_state?event_id=Sample").await.is(200, &expected);
        scene.get("/room_state?event_id=Other").await.says(400, "Invalid event ID");
    }
}
