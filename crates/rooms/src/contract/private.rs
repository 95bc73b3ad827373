//! What operators and their programs ask.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;
use waiting_room::{Compatibility, Ending};

use super::answer::{Changed, Failed, Kept, ok};
use super::public::{of_event, visitor};
use super::question::{Members, Question, id, is_event};
use crate::{KeptRoom, Left};

type Answered = Result<Response<Bytes>, Failed>;

pub(super) async fn increment(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let members = question.object()?;
    let by = members.integer("increment_by")?;
    of_body(room, &members)?;
    let moved = ok(&json!({ "serving_num": room.move_by(by, question.now).await? }), Kept::Never);
    Ok(Changed("moved").told(moved))
}

pub(super) async fn update_session(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let members = question.object()?;
    let (event, id) = (members.text("event_id")?, members.text("request_id")?);
    let status = members.whole("status")?;
    let id = visitor(room, &event, &id)?;
    let ending = match status {
        1 => Ending::Completed,
        -1 => Ending::Abandoned,
        _ => return Err(Failed::Said(StatusCode::BAD_REQUEST, "Invalid session status: 1 or -1")),
    };
    let has_ended = match id {
        Some(id) => room.end(id, ending, question.now).await?,
        None => false,
    };
    if !has_ended {
        return Err(Failed::Said(StatusCode::NOT_FOUND, "Request ID doesn't exist or status already set."));
    }
    // The original tells what its database says of the change.
    Ok(ok(&json!({ "ResponseMetadata": { "HTTPStatusCode": 200 } }), Kept::Never))
}

pub(super) fn num_active_tokens(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of_event(room, question, "Invalid event ID")?;
    let active = room.look(|room| room.active(question.now))?;
    Ok(ok(&json!({ "active_tokens": active }), Kept::Never))
}

pub(super) async fn expired_tokens(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of_event(room, question, "Invalid event ID")?;
    // A copy that shares memory: nobody who joins waits until all tokens are looked at.
    let (line, now) = (room.look(|room| room.line().clone())?, question.now);
    let listed = move || ok(&line.expired(now).map(|id| id.to_string()).collect::<Vec<_>>(), Kept::Never);
    let listed = tokio::task::spawn_blocking(listed).await;
    listed.map_err(|_panic| Failed::Said(StatusCode::INTERNAL_SERVER_ERROR, "The tokens could not be listed"))
}

pub(super) async fn reset(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let (settings, members) = (room.settings(), question.object()?);
    let message = "The waiting room begins anew. For an hour, undo_reset takes that back.";
    match (is_event(&settings, &members.text("event_id")?), settings.rules.compatibility) {
        (true, _) => {
            room.reset(question.now).await?;
            return Ok(Changed("reset").told(ok(&json!({ "message": message }), Kept::Never)));
        }
        // The original says yes, and does nothing.
        (false, Compatibility::Strict) => {}
        (false, Compatibility::Mended) => return Err(Failed::Said(StatusCode::BAD_REQUEST, "Invalid event ID")),
    }
    Ok(ok(&json!({ "message": message }), Kept::Never))
}

pub(super) async fn undo_reset(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let members = question.object()?;
    of_body(room, &members)?;
    if room.restore(question.now).await? {
        let message = "The waiting room is as it was. Who came meanwhile is behind the others.";
        return Ok(Changed("restored").told(ok(&json!({ "message": message }), Kept::Never)));
    }
    Err(Failed::Said(StatusCode::NOT_FOUND, "There is no reset of the last hour"))
}

pub(super) async fn update_inlet(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let (settings, members) = (room.settings(), question.object()?);
    of_body(room, &members)?;
    let ids = |name: &str, ending: Ending| -> Result<Vec<_>, Failed> {
        let ids = members.texts(name)?.into_iter().filter_map(|text| id(&settings, &text).flatten());
        Ok(ids.map(|id| (id, ending)).collect())
    };
    let exited = members.optional_numeric("exited")?.map(|exited| u64::try_from(exited).unwrap_or(0));
    let ended = [ids("completed", Ending::Completed)?, ids("abandoned", Ending::Abandoned)?].concat();
    let left = Left { exited, ended };
    if left.exited.is_none() && left.ended.is_empty() {
        return Ok(ok(&json!({ "message": "Nothing to process." }), Kept::Never));
    }
    let (before, serving) = room.left(left, question.now).await?;
    let told = ok(&json!({ "serving_num": serving }), Kept::Never);
    Ok(if serving == before { told } else { Changed("moved").told(told) })
}

/// Sees to it that this room's event is meant.
fn of_body(room: &KeptRoom, members: &Members<'_>) -> Result<(), Failed> {
    let is_ours = is_event(&room.settings(), &members.text("event_id")?);
    if is_ours { Ok(()) } else { Err(Failed::Said(StatusCode::BAD_REQUEST, "Invalid event ID")) }
}
