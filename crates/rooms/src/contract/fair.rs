//! What visitors ask about fairness.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::answer::{Failed, Kept, ok};
use super::public::of_event;
use super::question::Question;
use crate::lottery::put_lot;
use crate::{KeptRoom, Without};
use room_tickets::SCRIPT;

type Answered = Result<Response<Bytes>, Failed>;

/// The commitment, and after the draw all that it followed from.
pub(super) async fn lottery(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of_event(room, question, "Invalid event ID")?;
    let told = room.told_of_lottery().await?;
    let told = told.ok_or(Failed::Said(StatusCode::NOT_FOUND, "There is no lottery"))?;
    Ok(ok(&told, Kept::Briefly))
}

/// Some of those who drew, a line each: the number, the tag, and the lane if it is not everybody's.
pub(super) fn lottery_places(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of_event(room, question, "Invalid event ID")?;
    let from = question.parameter("from").map_or(Ok(0), |from| from.parse());
    let from = from.map_err(|_no_number| Failed::Said(StatusCode::BAD_REQUEST, "Invalid from: a number"))?;
    let lots = room.lots(from)?.ok_or(Failed::Said(StatusCode::NOT_FOUND, "No lots have been drawn yet"))?;
    let mut lines = String::new();
    for lot in &lots {
        put_lot(&mut lines, lot);
    }
    Ok(plain(lines, "text/plain; charset=utf-8"))
}

/// Something to compute before somebody joins.
pub(super) fn challenge(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of_event(room, question, "Invalid event ID")?;
    let asked = room.challenge(question.now)?;
    let (challenge, work) = asked.ok_or(Failed::Said(StatusCode::NOT_FOUND, "The room asks for no proof of work"))?;
    let told = json!({
        "challenge": challenge,
        "difficulty": work.difficulty,
        "algorithm": "sha-256",
        "expires_in": work.valid,
        "without_proof": match work.without { Without::SlowLane => "slow-lane", Without::Refused => "refused" },
    });
    Ok(ok(&told, Kept::Never))
}

/// What computes it in a browser.
pub(super) fn proof_script() -> Response<Bytes> {
    plain(SCRIPT.to_owned(), "text/javascript; charset=utf-8")
}

fn plain(text: String, media_type: &'static str) -> Response<Bytes> {
    let mut response = ok(&(), Kept::Briefly);
    *response.body_mut() = Bytes::from(text);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
