//! Visits behind a room, for its operators.

use waiting_room::{Ending, Position, RequestId, Room, Seconds, Token};

use crate::{KeptRoom, Trouble};

/// A visit: somebody who took their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The place by which they came.
    pub position: Position,
    /// Who.
    pub id: RequestId,
    /// Since when.
    pub issued: Seconds,
    /// Until when their token holds.
    pub expires: Seconds,
    /// How it stands.
    pub state: VisitState,
}

/// How a visit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitState {
    /// It goes on.
    Active,
    /// It came to a good end.
    Completed,
    /// It came to another end.
    Abandoned,
    /// Its token does not hold any more, and nobody said how it ended.
    Expired,
}

impl VisitState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Completed, Self::Abandoned, Self::Expired];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Abandoned => "abandoned",
            Self::Expired => "expired",
        }
    }

    fn of(token: &Token, now: Seconds) -> Self {
        match token.ending {
            Some(Ending::Completed) => Self::Completed,
            Some(Ending::Abandoned) => Self::Abandoned,
            None if now <= token.expires => Self::Active,
            None => Self::Expired,
        }
    }
}

impl KeptRoom {
    /// Visits that began before the one of this number, the latest first; and the number before which to go on, if there may
    /// be more. It never looks at so many that others would notice.
    pub fn visits(
        &self,
        state: Option<VisitState>,
        before: Option<u32>,
        most: usize,
        now: Seconds,
    ) -> Result<(Vec<Visit>, Option<u32>), Trouble> {
        self.look(|room| visits(room, state, before, (most, now)))
    }
}

fn visits(
    room: &Room,
    state: Option<VisitState>,
    before: Option<u32>,
    (most, now): (usize, Seconds),
) -> (Vec<Visit>, Option<u32>) {
    let line = room.line();
    let last = u32::try_from(line.tokens.len()).unwrap_or(u32::MAX);
    let first = before.map_or(last, |before| last.min(before.saturating_sub(1)));
    let mut found = Vec::new();
    for number in (1..=first).rev().take(LOOKED_AT) {
        let Some(token) = usize::try_from(number - 1).ok().and_then(|index| line.tokens.get(index)) else { break };
        let is = VisitState::of(token, now);
        if let Some(place) = line.place(token.position).filter(|_| state.is_none_or(|state| state == is)) {
            let Token { position, issued, expires, .. } = *token;
            found.push(Visit { position, id: place.id, issued, expires, state: is });
        }
        if found.len() == most {
            return (found, (number > 1).then_some(number));
        }
    }
    let reached = first.saturating_sub(u32::try_from(LOOKED_AT).unwrap_or(u32::MAX));
    (found, (reached > 0).then(|| reached + 1))
}

/// At so many visits at a time.
const LOOKED_AT: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::VisitState::{Abandoned, Active, Completed, Expired};
    use crate::tests::Scene;

    #[tokio::test]
    async fn visits_are_listed_from_the_latest_on_as_they_stand() {
        let scene = Scene::new();
        let ids = scene.joined(5).await;
        scene.increment(5).await;
        for id in &ids {
            assert_eq!(scene.token(id).await.status(), 200);
        }
        scene.end(&ids[0], 1).await;
        scene.end(&ids[3], -1).await;
        let list = |state, before| {
            let (found, next) = scene.room.visits(state, before, 2, scene.now.get()).unwrap();
            (found.iter().map(|visit| (visit.position, visit.state)).collect::<Vec<_>>(), next)
        };
        assert_eq!(list(None, None), (vec![(5, Active), (4, Abandoned)], Some(4)));
        assert_eq!(list(None, Some(4)), (vec![(3, Active), (2, Active)], Some(2)));
        assert_eq!(list(None, Some(2)), (vec![(1, Completed)], None));
        assert_eq!(list(Some(Active), None), (vec![(5, Active), (3, Active)], Some(3)));
        assert_eq!(list(Some(Active), Some(3)), (vec![(2, Active)], None));
        scene.wait(3601);
        assert_eq!(list(Some(Expired), None), (vec![(5, Expired), (3, Expired)], Some(3)));
        assert_eq!(list(Some(Completed), None), (vec![(1, Completed)], None));
    }
}
