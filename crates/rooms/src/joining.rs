//! Who gets a place, and by which lane: what a visitor shows, where they come from, and what they have done for it.

use std::net::IpAddr;

use aws_lc_rs::rand;
use waiting_room::{Beside, Entry, Event, Invite, InviteId, JoinKey, Joining, NotJoined, RequestId, Room, Seconds};

use crate::admission::stands_as_well;
use crate::caps::{self, Networks, SLOW};
use crate::room::Held;
use crate::{Fairness, KeptRoom, Trouble};
use room_tickets::{NoInvite, NoProof, Promise, Without, Work};

/// What somebody joins with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Joiner<'a> {
    /// What the join is known by, if it may be repeated.
    pub key: Option<JoinKey>,
    /// Where they come from.
    pub client: Option<IpAddr>,
    /// An invite.
    pub invite: Option<&'a str>,
    /// A proof of work.
    pub proof: Option<&'a str>,
    /// The place that they have, and keep if no better one would be theirs.
    pub has: Option<RequestId>,
}

/// Why somebody cannot join with what they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLet {
    /// The invite is none.
    #[error(transparent)]
    NoInvite(#[from] NoInvite),
    /// The proof is none.
    #[error(transparent)]
    NoProof(#[from] NoProof),
    /// There is no proof.
    #[error("the room takes nobody without a proof of work")]
    ProofNeeded,
}

/// By what somebody joins, once that is read.
struct Way<'a> {
    key: Option<JoinKey>,
    proof: Option<JoinKey>,
    networks: Option<Networks>,
    lane: Option<&'a str>,
    invite: Option<Invite>,
}

impl KeptRoom {
    /// Gives somebody the next place, or the one that they have by this key.
    pub async fn join(&self, key: Option<JoinKey>, now: Seconds) -> Result<RequestId, Trouble> {
        self.join_with(Joiner { key, ..Joiner::default() }, now).await
    }

    /// Gives somebody the place that what they have is good for, or the one that they got by it before.
    pub async fn join_with(&self, joiner: Joiner<'_>, now: Seconds) -> Result<RequestId, Trouble> {
        let settings = self.settings();
        let fairness = &settings.fairness;
        let invited = match joiner.invite {
            Some(invite) => Some(self.tickets().invites.read(self.name(), invite, now).map_err(NotLet::from)?),
            None => None,
        };
        let networks =
            joiner.client.filter(|_| fairness.caps.is_some()).map(|client| self.networks_of(client, fairness));
        let mut way = Way { key: joiner.key, proof: None, networks, lane: None, invite: None };
        let has_joined = joiner.key.map_or(Ok(false), |key| self.look(|room| room.joined_by(key).is_some()))?;
        match (&invited, &fairness.work) {
            (Some(invited), _) => (way.lane, way.invite) = (Some(&*invited.lane), Some(invited.invite)),
            (None, Some(work)) if !has_joined => self.look_at_proof(joiner.proof, *work, &mut way, now)?,
            (None, Some(_) | None) => {}
        }
        let turn = self.may_write().await?;
        let (id, written) = loop {
            let mut held = self.held.lock();
            let id = held.ids.next(|bytes| rand::fill(bytes).ok()).ok_or(Trouble::NoRandomness)?;
            self.catch_up(&mut held, now)?;
            match decide(&held, id, now, &way, fairness) {
                (Ok(Joining::New(event)), lane) => {
                    if let Some(has) = joiner.has
                        && stands_as_well(&held.room, (has, now), &event, &settings.rules)
                    {
                        break (has, self.log_so_far()?);
                    }
                    let written = self.happen(&mut held, &event)?;
                    let came = way.networks.filter(|_| lane.is_none());
                    let counted = came.map(|networks| Event::Beside { what: Beside::Came(networks.into()), at: now });
                    let written = counted.and_then(|came| self.happen(&mut held, &came).ok()).unwrap_or(written);
                    break (id, written);
                }
                // It may have been given a moment ago, and not be on the disk yet.
                (Ok(Joining::Known(id)), _) => break (id, self.log_so_far()?),
                (Err(NotJoined::IdTaken), _) => {}
                (Err(NotJoined::InviteUsed), _) if way.proof.is_some() => {
                    return Err(NotLet::from(NoProof::Used).into());
                }
                (Err(refused), _) => return Err(refused.into()),
            }
        };
        drop(turn);
        self.settled(&written).await?;
        Ok(id)
    }

    fn networks_of(&self, client: IpAddr, fairness: &Fairness) -> Networks {
        let announced = fairness.announced.as_ref().and_then(|announced| announced.of(client));
        caps::networks(self.tickets(), self.name(), client, announced)
    }

    fn look_at_proof(&self, proof: Option<&str>, work: Work, way: &mut Way<'_>, now: Seconds) -> Result<(), NotLet> {
        match (proof, work.without) {
            (Some(proof), _) => way.proof = Some(self.tickets().proofs.read(self.name(), proof, work, now)?),
            (None, Without::SlowLane) => way.lane = Some(SLOW),
            (None, Without::Refused) => return Err(NotLet::ProofNeeded),
        }
        Ok(())
    }

    /// A challenge, and what it asks for. None: the room asks for no work.
    pub fn challenge(&self, now: Seconds) -> Result<Option<(String, Work)>, Trouble> {
        let Some(work) = self.settings().fairness.work else { return Ok(None) };
        let challenge = self.tickets().proofs.challenge(self.name(), work, now).ok_or(Trouble::NoRandomness)?;
        Ok(Some((challenge, work)))
    }

    /// Makes an invite. None: there is no such lane.
    pub fn invite(&self, promise: &Promise) -> Result<Option<String>, Trouble> {
        let settings = self.settings();
        if &*promise.lane == SLOW || settings.fairness.lanes.lane(&promise.lane).is_none() {
            return Ok(None);
        }
        self.tickets().invites.make(self.name(), promise).map(Some).ok_or(Trouble::NoRandomness)
    }

    /// Takes invites back: nobody comes in by them from now on, at any node. How many were good until now, or the first text
    /// that is no invite for this room, of which none is taken back then.
    pub async fn revoke<'a>(
        &self,
        invites: impl IntoIterator<Item = &'a str>,
        now: Seconds,
    ) -> Result<Result<usize, &'a str>, Trouble> {
        let mut known: Vec<(InviteId, Seconds)> = Vec::new();
        for text in invites {
            match self.tickets().invites.known(self.name(), text) {
                Some(invite) => known.push(invite),
                None => return Ok(Err(text)),
            }
        }
        let mut revoked = 0;
        let decide = |room: &Room| {
            let event = room.revoke(&known, now)?;
            if let Event::Beside { what: Beside::Revoked(invites), .. } = &event {
                revoked = invites.len();
            }
            Some(event)
        };
        self.change(decide, |_| ()).await?;
        Ok(Ok(revoked))
    }
}

/// What becomes of a join, and by which lane it comes.
fn decide<'a>(
    held: &Held,
    id: RequestId,
    now: Seconds,
    way: &Way<'a>,
    fairness: &'a Fairness,
) -> (Result<Joining, NotJoined>, Option<&'a str>) {
    let mut lane = way.lane;
    if let (None, Some(networks), Some(caps)) = (lane, &way.networks, &fairness.caps)
        && caps::are_too_many(&held.room.line().origins, networks, caps)
    {
        lane = Some(SLOW);
    }
    // Whatever else a join is known by, one proof is one place: it is like an invite that is used up then.
    let once = way.proof.map(|JoinKey(proof)| Invite { id: InviteId(proof), uses: 1 });
    let entry = Entry { lanes: Some(&fairness.lanes), lane, invite: way.invite.or(once) };
    let known = [way.key, way.proof].into_iter().flatten().find_map(|key| held.room.joined_by(key));
    let joined =
        known.map_or_else(|| held.room.join_by(id, way.key.or(way.proof), now, &entry), |id| Ok(Joining::Known(id)));
    (joined, lane)
}
