//! The lottery of a kept room: the seed is written down before anybody comes, and the draw before anybody is told of it.

use std::sync::Arc;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use waiting_room::lottery::ALGORITHM;
use waiting_room::{Draft, Drawn, Event, Hall, Lot, Room, Seconds, Seed, Shelf, Tag, Unfair, Weighed};

use crate::{KeptRoom, Trouble};

/// What everybody can know of a room's lottery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// How lots are drawn.
    pub algorithm: String,
    /// The SHA-256 of the seed of the draw that is to come, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<String>,
    /// How many draw lots so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<u32>,
    /// The public value that the draw waits for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// The last draw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<ToldDraw>,
}

/// What everybody can know of a draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldDraw {
    /// The SHA-256 of the seed, in hexadecimal digits: what was told before.
    pub commitment: String,
    /// The seed, in hexadecimal digits.
    pub seed: String,
    /// The public value.
    pub public_value: String,
    /// When, in seconds since 1970.
    pub at: Seconds,
    /// How many drew.
    pub visitors: u32,
    /// The last number that was taken before.
    pub after: u32,
    /// The lanes that there were.
    pub lanes: Vec<ToldLane>,
}

/// A lane as it was when lots were drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldLane {
    /// Its name.
    pub name: String,
    /// How many of each hundred numbers were for it.
    pub weight: u8,
    /// What it was for.
    pub kind: LaneKind,
}

/// What a lane was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneKind {
    /// Those who were to wait less.
    Preferred,
    /// Those who had no more than its share.
    Slow,
}

/// A draw as it was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// The room's lottery.
    pub told: Told,
    /// Those who drew, in the order of their lots.
    pub lots: Vec<Lot>,
}

/// Why a draw that was published is none that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// What was published cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// Nothing has been drawn.
    #[error("no lots have been drawn yet")]
    NotDrawn,
    /// It cannot be so.
    #[error(transparent)]
    Unfair(#[from] Unfair),
}

/// How many lots are told at once.
pub const PAGE: u32 = 4096;

impl KeptRoom {
    /// What everybody can know of its lottery, once no loss of power can change it. None: there is none.
    pub async fn told_of_lottery(&self) -> Result<Option<Told>, Trouble> {
        let settings = self.settings();
        let (seed, registered, drawn) = self.look(|room| {
            let hall = &room.line().hall;
            (hall.seed, room.counters().registered, hall.drawn.clone())
        })?;
        if settings.fairness.lottery.is_none() && seed.is_none() && drawn.is_none() {
            return Ok(None);
        }
        self.settled_so_far().await?;
        let waits_for = settings.fairness.lottery.as_ref().and_then(|lots| lots.waits_for.as_deref());
        Ok(Some(Told {
            algorithm: ALGORITHM.to_owned(),
            commitment: seed.map(|seed| hex(seed.commitment())),
            registered: seed.map(|_| registered),
            waits_for: waits_for.map(str::to_owned),
            drawn: drawn.map(|drawn| ToldDraw::of(&drawn)),
        }))
    }

    /// Some of those who drew, from one on, in the order of their lots. None: nothing has been drawn.
    pub fn lots(&self, from: u32) -> Result<Option<Vec<Lot>>, Trouble> {
        let lots = self.look(|room| room.line().hall.drawn.as_ref().map(|drawn| room.lots(drawn, from, PAGE)))?;
        // Beside the lock, which everybody in the room wants.
        let told = |(position, id, lane)| Lot { position, tag: Tag::of(id), lane };
        Ok(lots.map(|lots| lots.into_iter().map(told).collect()))
    }

    /// Has lots drawn that wait for it, with this public value. Whether there were any.
    pub async fn draw(self: &Arc<Self>, public: &str, now: Seconds) -> Result<bool, Trouble> {
        let settings = self.settings();
        let Some((line, event)) = self.look(|room| {
            let event = room.draw(public.into(), Some(&settings.fairness.lanes), now)?;
            Some((Arc::new(room.line().clone()), event))
        })?
        else {
            return Ok(false);
        };
        // Whoever draws is on the disk before anybody learns of the order, so that it is the same after any restart.
        self.settled_so_far().await?;
        let Event::Drawn { public, lanes, at } = event.clone() else { return Ok(false) };
        let drawn = line.clone();
        // Only a panic keeps it from being looked at; then it is tried again.
        let draft = tokio::task::spawn_blocking(move || Draft::of(&drawn, &public, &lanes, at)).await;
        let Ok(draft) = draft else { return Ok(false) };
        // Not before: nobody else can have a turn meanwhile.
        let turn = self.may_write().await?;
        let room = self.clone();
        let drawing = move || {
            let drawn_from = |hall: &Hall| (hall.seed, hall.closed);
            let written = room.happen_by(&event, |room| drawn_from(&room.line().hall) == drawn_from(&line.hall), draft);
            drop(turn);
            written
        };
        let Ok(written) = tokio::task::spawn_blocking(drawing).await else { return Ok(false) };
        let Some(written) = written? else { return Ok(false) };
        self.settled(&written).await?;
        Ok(true)
    }

    /// Has lots drawn if it is time and nothing has to be waited for.
    pub(crate) async fn draw_if_due(self: &Arc<Self>, now: Seconds) -> Result<(), Trouble> {
        let is_closed = self.look(|room| room.line().hall.closed.is_some())?;
        let waits = self.settings().fairness.lottery.as_ref().is_some_and(|lots| lots.waits_for.is_some());
        if is_closed && !waits {
            self.draw("", now).await?;
        }
        Ok(())
    }

    /// What has to happen with the hall before anybody comes.
    pub(crate) fn hall_due(&self, room: &Room) -> Option<Event> {
        let lottery = self.settings().fairness.lottery();
        room.commit(random_seed, lottery).or_else(|| room.close_hall())
    }
}

fn random_seed() -> Option<Seed> {
    let mut seed = [0; 32];
    rand::fill(&mut seed).ok()?;
    Some(Seed(seed))
}

impl ToldDraw {
    fn of(drawn: &Drawn) -> Self {
        let lane = |lane: &Weighed| ToldLane {
            name: lane.name.to_string(),
            weight: lane.weight,
            kind: match lane.kind {
                waiting_room::LaneKind::Preferred => LaneKind::Preferred,
                waiting_room::LaneKind::Slow => LaneKind::Slow,
            },
        };
        Self {
            commitment: hex(drawn.seed.commitment()),
            seed: hex(drawn.seed.0),
            public_value: drawn.public.to_string(),
            at: drawn.at,
            visitors: drawn.visitors,
            after: drawn.after,
            lanes: drawn.lanes.iter().map(lane).collect(),
        }
    }

    fn read(&self) -> Result<(Drawn, [u8; 32]), Wrong> {
        let lane = |lane: &ToldLane| Weighed {
            name: lane.name.as_str().into(),
            weight: lane.weight,
            kind: match lane.kind {
                LaneKind::Preferred => waiting_room::LaneKind::Preferred,
                LaneKind::Slow => waiting_room::LaneKind::Slow,
            },
        };
        let drawn = Drawn {
            seed: Seed(bytes(&self.seed).ok_or_else(|| unreadable("the seed is no 32 bytes in hexadecimal digits"))?),
            public: self.public_value.as_str().into(),
            at: self.at,
            before: 0,
            after: self.after,
            visitors: self.visitors,
            lanes: self.lanes.iter().map(lane).collect(),
            by: Shelf::default(),
        };
        let wrong = || unreadable("the commitment is no 32 bytes in hexadecimal digits");
        Ok((drawn, bytes(&self.commitment).ok_or_else(wrong)?))
    }
}

impl Published {
    /// Reads what was published: a JSON document on the first line, then a line for each lot.
    pub fn read(text: &str) -> Result<Self, Wrong> {
        let (head, lines) = text.split_once('\n').unwrap_or((text, ""));
        let told = Self::read_told(head)?;
        Ok(Self { told, lots: lines.lines().map(read_lot).collect::<Result<_, _>>()? })
    }

    /// Reads what was told of a room's lottery.
    pub fn read_told(text: &str) -> Result<Told, Wrong> {
        let told: Told =
            serde_json::from_str(text).map_err(|error| unreadable(format!("this is no room's lottery: {error}")))?;
        if told.algorithm != ALGORITHM {
            return Err(unreadable(format!(
                "lots are drawn by `{}` there, and this knows `{ALGORITHM}`",
                told.algorithm
            )));
        }
        Ok(told)
    }

    /// As [`Self::read`] reads it.
    pub fn text(&self) -> String {
        let head = serde_json::to_string(&self.told).unwrap_or_default();
        let mut text = head + "\n";
        for lot in &self.lots {
            put_lot(&mut text, lot);
        }
        text
    }

    /// Whether each place follows from the seed, and the seed from the commitment: one that somebody noted before, or else
    /// the one that is told.
    pub fn verify(&self, noted: Option<&str>) -> Result<&ToldDraw, Wrong> {
        let told = self.told.drawn.as_ref().ok_or(Wrong::NotDrawn)?;
        let (drawn, commitment) = told.read()?;
        drawn.verify(&commitment, &self.lots)?;
        if noted.is_some_and(|noted| !noted.trim().eq_ignore_ascii_case(&told.commitment)) {
            return Err(Unfair::OtherSeed.into());
        }
        Ok(told)
    }
}

/// Reads lines of lots.
pub fn read_lots(text: &str) -> Result<Vec<Lot>, Wrong> {
    text.lines().map(read_lot).collect()
}

/// The number, the tag, and the lane if it is not everybody's.
fn read_lot(line: &str) -> Result<Lot, Wrong> {
    let mut words = line.split(' ');
    let position = words.next().and_then(|number| number.parse().ok());
    let tag: Option<Tag> = words.next().and_then(|tag| tag.parse().ok());
    let lane: Arc<str> = words.next().unwrap_or_default().into();
    let (Some(position), Some(tag), None) = (position, tag, words.next()) else {
        return Err(unreadable(format!("`{line}` is no lot: a number, a tag, and perhaps a lane")));
    };
    Ok(Lot { position, tag, lane })
}

/// Writes a line.
pub(crate) fn put_lot(to: &mut String, lot: &Lot) {
    use std::fmt::Write as _;
    let lane = if lane_is_everybodys(lot) { String::new() } else { format!(" {}", lot.lane) };
    // Writing into a text does not fail.
    let _written = writeln!(to, "{} {}{lane}", lot.position, lot.tag);
}

fn lane_is_everybodys(lot: &Lot) -> bool {
    &*lot.lane == waiting_room::EVERYBODY
}

fn unreadable(what: impl Into<String>) -> Wrong {
    Wrong::Unreadable(what.into())
}

/// In hexadecimal digits.
fn hex(bytes: [u8; 32]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).concat()
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let digits = text.trim().as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
