//! What somebody kept alone becomes what several nodes keep: a picture of it is where their log begins.

use aws_lc_rs::rand;
use store::{Base, Behind, Place, SharedLog, Then, Turn, Unavailable, Wrote};

use crate::writer::PIECE;

/// Why a log does not begin with a picture.
#[derive(Debug, thiserror::Error)]
pub enum NotMoved {
    /// The server.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// There is something in the log, which would be lost.
    #[error("Redis has waiting rooms already, which would be lost")]
    NotEmpty,
    /// Somebody writes.
    #[error("a gateway writes waiting rooms into Redis: stop all that use it first")]
    InUse,
    /// There is no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// Says whether a log is empty, so that it can begin with something.
pub async fn expect_empty(server: &dyn SharedLog) -> Result<(), NotMoved> {
    end(server).await.map(drop)
}

/// Has a log begin with a picture. If it ends early, nothing is lost, and it can be done again.
pub async fn begin_with(server: &dyn SharedLog, picture: &[u8]) -> Result<(), NotMoved> {
    let mut random = [0; 24];
    rand::fill(&mut random).map_err(|_unspecified| NotMoved::NoRandomness)?;
    let (mark, name) = random.split_first_chunk::<8>().ok_or(NotMoved::NoRandomness)?;
    let (before, who) = (end(server).await?, store::hex(name));
    let place = Place { number: before.number + 1, mark: u64::from_le_bytes(*mark) };
    let mut pieces = 0;
    for piece in picture.chunks(PIECE) {
        server.lay_piece(place, pieces, piece).await?;
        pieces += 1;
    }
    match server.take(&who, before).await? {
        Turn::Theirs => return Err(NotMoved::InUse),
        Turn::Ours(Behind::Known { last, .. }) if last == before => {}
        Turn::Ours(_) => return Err(NotMoved::NotEmpty),
    }
    // The base stands for a batch, which says nothing itself.
    if server.write(&who, (before, place), &[], Then::Keep).await? == Wrote::Refused {
        return Err(NotMoved::InUse);
    }
    server.rebase(Base { place, pieces }).await?;
    Ok(server.pass(&who).await?)
}

/// Where a log ends that has nothing, or nothing but what an attempt left.
async fn end(server: &dyn SharedLog) -> Result<Place, NotMoved> {
    if server.base().await? != Base::default() {
        return Err(NotMoved::NotEmpty);
    }
    match server.read(Place::default()).await? {
        Behind::Known { batches, last, .. } if batches.iter().all(|(_, batch)| batch.is_empty()) => Ok(last),
        Behind::Known { .. } | Behind::Gone(_) => Err(NotMoved::NotEmpty),
    }
}
