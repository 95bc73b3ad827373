//! Rooms that several nodes have together, in a log that they write by turns (`turns`).

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use room_files::pictures;
use turns::{Kept, MayWrite, NotWritten, Turns, WritePicture};
use waiting_room::Room;

use crate::Rooms;
use crate::log::{Log, NotKept, Written};

/// The log as rooms see it.
pub(crate) struct SharedLog(pub(crate) Arc<Turns>);

impl Log for SharedLog {
    fn is_here(&self) -> bool {
        self.0.is_here()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn here(&self) -> BoxFuture<'_, ()> {
        self.0.here().boxed()
    }

    fn at_once(&self) -> Option<MayWrite> {
        self.0.try_write()
    }

    fn turn(&self) -> BoxFuture<'_, Result<MayWrite, NotKept>> {
        async { Ok(self.0.may_write().await?) }.boxed()
    }

    fn catch_up(&self) -> BoxFuture<'_, ()> {
        self.0.catch_up().boxed()
    }

    fn append(&self, record: &[u8]) -> Result<Written, NotKept> {
        Ok(Written::Batch(self.0.append(record)?))
    }

    fn so_far(&self) -> Result<Written, NotKept> {
        Ok(Written::Batch(self.0.so_far()))
    }

    fn durable<'a>(&'a self, written: &'a Written) -> BoxFuture<'a, Result<(), NotKept>> {
        async move {
            match written {
                Written::Journal(_) => Ok(()),
                Written::Batch(number) => Ok(self.0.durable(*number).await?),
            }
        }
        .boxed()
    }
}

impl From<NotWritten> for NotKept {
    fn from(not: NotWritten) -> Self {
        match not {
            NotWritten::Elsewhere => Self::Elsewhere,
            NotWritten::NotOurTurn => Self::NotOurTurn,
            NotWritten::Lost => Self::Lost,
            NotWritten::Away => Self::Away,
        }
    }
}

impl Kept for Rooms {
    fn replay(&self, record: &[u8]) {
        self.replay(record);
    }

    fn become_again(&self, picture: &[u8]) -> bool {
        let Some(rooms) = pictures::apart(picture) else { return false };
        self.forget_all();
        self.has_picture(picture.len() as u64);
        for (name, room) in rooms {
            self.known(name).become_again(room);
        }
        true
    }

    fn forget_all(&self) {
        for room in self.known_ones() {
            room.become_again(Room::default());
        }
    }

    fn longest_log(&self) -> u64 {
        self.longest_log()
    }

    fn picture(&self) -> WritePicture {
        let rooms = self.known_ones();
        let pictures: Vec<_> = rooms.into_iter().map(|room| (room.name().clone(), room.whole_picture())).collect();
        Box::new(move || pictures::together(&pictures))
    }

    fn has_picture(&self, bytes: u64) {
        self.has_pictures(bytes);
    }
}
