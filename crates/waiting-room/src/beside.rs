//! What happens beside the line: invites that are taken back, where visitors come from, and what nodes tell each other.

use std::sync::Arc;

use crate::{Event, InviteId, Position, Room, Seconds, Signals};

/// Something that happens beside the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nobody comes in any more by these, which would be over at these moments anyway.
    Revoked(Arc<[(InviteId, Seconds)]>),
    /// Somebody who just joined by everybody's lane came from these networks, from the smallest to the largest.
    Came(Arc<[u64]>),
    /// A node tells the others what it noticed in the last second.
    Noticed {
        /// Which node.
        node: u64,
        /// What it saw of what is behind the room, if it did.
        signals: Option<Signals>,
        /// Places of whose holders there was a sign, in order.
        seen: Arc<[Position]>,
    },
    /// A node steers the adaptive inlet of the room.
    Steered {
        /// Which node.
        node: u64,
        /// How many come in, in a thousandth of a visitor a second.
        rate: u32,
    },
}

impl Room {
    /// Takes invites back. None: nobody could come in by any of them anyway.
    pub fn revoke(&self, invites: &[(InviteId, Seconds)], at: Seconds) -> Option<Event> {
        let mut revoked: Vec<_> = invites.iter().copied().filter(|(id, until)| self.is_good(*id, *until, at)).collect();
        revoked.sort_unstable();
        revoked.dedup_by_key(|(id, _)| *id);
        (!revoked.is_empty()).then(|| Event::Beside { what: Beside::Revoked(revoked.into()), at })
    }

    fn is_good(&self, invite: InviteId, until: Seconds, now: Seconds) -> bool {
        until >= now && !self.is_revoked(invite)
    }

    /// Whether an invite was taken back, which a reset does not change.
    pub fn is_revoked(&self, invite: InviteId) -> bool {
        self.revoked.contains_key(&invite)
    }

    /// The invites that were taken back, as long as they would not be over anyway.
    pub fn revoked(&self) -> impl Iterator<Item = (InviteId, Seconds)> {
        self.revoked.iter().map(|(invite, until)| (*invite, *until))
    }

    pub(crate) fn happen_beside(&mut self, what: &Beside, at: Seconds) {
        match what {
            Beside::Revoked(invites) => {
                // What is over is refused for that.
                self.revoked.retain(|_, until| *until >= at);
                self.revoked.extend(invites.iter().copied());
            }
            Beside::Came(networks) => self.line.origins.came(networks),
            // It says what nodes do, and changes nothing of the room.
            Beside::Noticed { .. } | Beside::Steered { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::id;
    use crate::{Entry, Invite, Joining, Lane, LaneKind, Lanes, NotJoined};

    #[test]
    fn an_invite_that_is_taken_back_lets_nobody_in_also_after_a_reset_until_it_is_over_anyway() {
        let vip = Lane { name: "vip".into(), weight: 10, quota: None, kind: LaneKind::Preferred };
        let (lanes, mut room) = (Lanes::of(vec![vip]), Room::default());
        let join = |room: &Room, visitor: u8, number: u8| {
            let invite = Some(Invite { id: InviteId([number; 16]), uses: 2 });
            room.join_by(id(visitor.into()), None, 10, &Entry { lanes: Some(&lanes), lane: Some("vip"), invite })
        };
        let Ok(Joining::New(event)) = join(&room, 1, 1) else { panic!() };
        room.apply(&event);

        let both = [(InviteId([2; 16]), 50), (InviteId([1; 16]), 100), (InviteId([2; 16]), 50)];
        let event = room.revoke(&both, 20).unwrap();
        room.apply(&event);
        assert_eq!((room.revoke(&both, 20), room.revoked().count()), (None, 2));
        assert_eq!(room.revoke(&[(InviteId([3; 16]), 19)], 20), None, "it is over");
        for _ in 0..2 {
            assert_eq!(
                (join(&room, 2, 2), join(&room, 3, 1)),
                (Err(NotJoined::InviteRevoked), Err(NotJoined::InviteRevoked))
            );
            assert!(join(&room, 4, 4).is_ok());
            room.apply(&room.reset(30));
        }
        let event = room.revoke(&[(InviteId([4; 16]), 90)], 60).unwrap();
        room.apply(&event);
        assert_eq!(room.revoked().map(|(_, until)| until).collect::<Vec<_>>(), [100, 90]);
    }
}
