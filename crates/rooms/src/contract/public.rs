//! What visitors ask.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use waiting_room::{CONFIDENCE, Compatibility, Interval, JoinKey, NotJoined, Refusal, RequestId, Room, Turn};

use super::Side;
use super::answer::{Failed, Kept, ok, text};
use super::question::{Question, id, is_event};
use crate::{Granted, Joiner, KeptRoom, NoKeys, Taken, Timetable, Trouble, Wish};

type Answered = Result<Response<Bytes>, Failed>;

// What is asked most often.
#[derive(Serialize)]
struct Joined<'a> {
    api_request_id: &'a str,
}

#[derive(Serialize)]
struct QueueNum<'a> {
    queue_number: u32,
    entry_time: u32,
    event_id: &'a str,
    status: u8,
}

#[derive(Serialize)]
struct ServingNum {
    serving_counter: String,
}

pub(super) async fn assign(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let (settings, members) = (room.settings(), question.object()?);
    let joined = |id: RequestId| {
        let text = id.text();
        let api_request_id = str::from_utf8(&text).unwrap_or_default();
        ok(&Joined { api_request_id }, Kept::Never)
    };
    if !is_event(&settings, &members.text("event_id")?) {
        return match settings.rules.compatibility {
            // The original learns later that it is none of its visitors.
            Compatibility::Strict => Ok(joined(nobody()?)),
            Compatibility::Mended => Err(Failed::Said(StatusCode::BAD_REQUEST, "Invalid event ID")),
        };
    }
    let key = match question.headers.get("idempotency-key") {
        None => None,
        Some(key) if (16..=255).contains(&key.len()) => digest(&SHA256, key.as_bytes()).as_ref().first_chunk().copied(),
        Some(_) => return Err(Failed::Said(StatusCode::BAD_REQUEST, "Invalid idempotency key: 16 to 255 characters")),
    };
    let (invite, proof) = (members.optional_text("invite")?, members.optional_text("proof")?);
    let joiner = Joiner {
        key: key.map(JoinKey),
        client: question.client,
        invite: invite.as_deref(),
        proof: proof.as_deref(),
        has: None,
    };
    match room.join_with(joiner, question.now).await {
        Ok(id) => Ok(joined(id)),
        Err(Trouble::NotJoined(NotJoined::NotYet)) => {
            let pause = room.timetable()?.pause(question.now).unwrap_or(UNKNOWN_PAUSE);
            Err(Failed::Later(StatusCode::SERVICE_UNAVAILABLE, "The waiting room has not opened yet", pause))
        }
        Err(Trouble::NotJoined(NotJoined::Over)) => Err(CLOSED),
        Err(trouble) => Err(trouble.into()),
    }
}

pub(super) async fn queue_num(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let [event, id] = question.parameters(["event_id", "request_id"])?;
    let id = visitor(room, &event, &id)?;
    let found = match id {
        Some(id) => {
            room.seek(|room| room.find(id).is_some()).await?;
            room.look(|room| room.find(id))?
        }
        None => None,
    };
    let (position, place) = found.ok_or(Failed::Said(StatusCode::ACCEPTED, "Request ID not found"))?;
    let settings = room.settings();
    room.seen(position, question.now);
    // Who asks is there, which nobody learns from a cache.
    let kept = if settings.rules.presence.is_some() { Kept::Never } else { Kept::Long };
    let (queue_number, entry_time, event_id) = (position, place.entered, &*settings.event);
    Ok(ok(&QueueNum { queue_number, entry_time, event_id, status: 1 }, kept))
}

pub(super) fn serving_num(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of_event(room, question, "Invalid event ID")?;
    let kept = heard_of(room, question)?;
    let counters = room.look_now(question.now, Room::counters)?;
    // A text: front ends parse it.
    Ok(ok(&ServingNum { serving_counter: counters.served().to_string() }, kept))
}

pub(super) fn waiting_num(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of_event(room, question, "Invalid event ID")?;
    let kept = heard_of(room, question)?;
    Ok(ok(&json!({ "waiting_num": room.counters()?.waiting() }), kept))
}

pub(super) async fn generate_token(room: &KeptRoom, question: &Question<'_>, side: Side) -> Answered {
    let members = question.object()?;
    let (event, id) = (members.text("event_id")?, members.text("request_id")?);
    let (issuer, validity) = (members.optional_text("issuer")?, members.optional_whole("validity_period")?);
    let wish = match side {
        Side::Public | Side::OpenId => Wish::default(),
        Side::Private => Wish {
            issuer: issuer.map(Into::into),
            validity: validity.map(|period| period.try_into().map_err(|_negative| Failed::bad_body())).transpose()?,
        },
    };
    let unknown = Failed::Said(StatusCode::BAD_REQUEST, "Invalid request ID");
    let Some(id) = visitor(room, &event, &id)? else { return Err(unknown) };
    note_sign(room, id, question.now)?;
    let granted = room.take_turn(id, question.now, wish).await?.map_err(|refusal| match refusal {
        Refusal::Unknown => unknown,
        Refusal::NotServed => Failed::Said(StatusCode::ACCEPTED, "Request ID not being served yet"),
        Refusal::Expired => Failed::Said(StatusCode::GONE, "Queue position has expired"),
        Refusal::Ended => Failed::Said(StatusCode::GONE, "Token corresponding to request id has expired"),
        Refusal::Closed => CLOSED,
    })?;
    Ok(ok(&tokens(room, (id, granted), None, question.now).await?, Kept::Never))
}

pub(super) async fn public_key(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of_event(room, question, "Invalid request ID")?;
    let now = u64::from(question.now);
    let mut key = room.signer(now).await?.public_key(now).unwrap_or_default();
    if let Some(members) = key.as_object_mut() {
        // The original has none, and some clients take exactly what it has.
        members.shift_remove("use");
    }
    Ok(ok(&key, Kept::Long))
}

pub(super) async fn queue_pos_expiry(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let [event, id] = question.parameters(["event_id", "request_id"])?;
    let id = visitor(room, &event, &id)?;
    if room.settings().rules.expiry.is_none() {
        return Err(Failed::Said(StatusCode::ACCEPTED, "Queue position expiration not enabled"));
    }
    let unknown = Failed::Said(StatusCode::NOT_FOUND, "Invalid request ID");
    let Some(id) = id else { return Err(unknown) };
    room.seek(|room| room.find(id).is_some()).await?;
    let kept = heard_of(room, question)?;
    match room.turn(id, question.now)? {
        Ok(Some(Turn::Open(seconds))) => Ok(ok(&json!({ "expires_in": seconds }), kept)),
        Ok(Some(Turn::Over)) => Err(Failed::Said(StatusCode::GONE, "Queue position has expired")),
        Err(Refusal::NotServed) => Err(Failed::Said(StatusCode::ACCEPTED, "Request ID not being served yet")),
        Err(Refusal::Closed) => Err(CLOSED),
        Ok(None) | Err(Refusal::Unknown | Refusal::Expired | Refusal::Ended) => Err(unknown),
    }
}

/// For how long a visitor will wait: what the original does not tell.
pub(super) async fn wait_time(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let [event, id] = question.parameters(["event_id", "request_id"])?;
    let unknown = Failed::Said(StatusCode::ACCEPTED, "Request ID not found");
    let Some(id) = visitor(room, &event, &id)? else { return Err(unknown) };
    room.seek(|room| room.find(id).is_some()).await?;
    let (found, serving) = room.look(|room| (room.find(id), room.counters().serving))?;
    let Some((position, _)) = found else { return Err(unknown) };
    let interval = room.wait_of(position, question.now)?;
    let is_served = i64::from(position) <= serving;
    let bound = |of: fn(Interval) -> u32| if is_served { Some(0) } else { interval.map(of) };
    let body = json!({
        "queue_number": position,
        "serving_counter": serving,
        "wait_at_least": bound(|interval| interval.low),
        "wait_at_most": bound(|interval| interval.high),
        "confidence": CONFIDENCE,
    });
    Ok(ok(&body, Kept::Briefly))
}

/// Whoever names their id beside what they ask is there; and their answer is for them alone.
fn heard_of(room: &KeptRoom, question: &Question<'_>) -> Result<Kept, Failed> {
    if room.settings().rules.presence.is_none() {
        return Ok(Kept::Briefly);
    }
    match question.visitor(&room.settings()) {
        Some(id) => {
            note_sign(room, id, question.now)?;
            Ok(Kept::Never)
        }
        None => Ok(Kept::Briefly),
    }
}

/// There is a sign of somebody.
fn note_sign(room: &KeptRoom, id: RequestId, now: u32) -> Result<(), Failed> {
    if room.settings().rules.presence.is_some()
        && let Some((position, _)) = room.look(|room| room.find(id))?
    {
        room.seen(position, now);
    }
    Ok(())
}

/// The head of the answer to somebody who watches.
pub(super) fn watch(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of_event(room, question, "Invalid event ID")?;
    let mut response = text(StatusCode::OK, "");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// Whether the room lets visitors in, and when that changes, in seconds since 1970.
pub(super) fn room_state(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of_event(room, question, "Invalid event ID")?;
    room.state_now(question.now)?;
    let Timetable { state, schedule } = room.timetable()?;
    let mut told = json!({ "state": state.name() });
    for (name, moment) in [("pre_queue", schedule.pre_queue), ("opens", schedule.opens), ("closes", schedule.closes)] {
        if let (Some(members), Some(moment)) = (told.as_object_mut(), moment) {
            members.insert(name.to_owned(), moment.into());
        }
    }
    Ok(ok(&told, Kept::Briefly))
}

/// The id of a visitor of this room's event: none if it is well-formed and nobody's.
pub(super) fn visitor(room: &KeptRoom, event: &str, text: &str) -> Result<Option<RequestId>, Failed> {
    let settings = room.settings();
    let id = if is_event(&settings, event) { id(&settings, text) } else { None };
    id.ok_or(Failed::Said(StatusCode::BAD_REQUEST, "Invalid event or request ID"))
}

/// Sees to it that this room's event is asked about.
pub(super) fn of_event(room: &KeptRoom, question: &Question<'_>, wrong: &'static str) -> Result<(), Failed> {
    let [event] = question.parameters(["event_id"])?;
    if is_event(&room.settings(), &event) { Ok(()) } else { Err(Failed::Said(StatusCode::BAD_REQUEST, wrong)) }
}

/// An id that is nobody's.
fn nobody() -> Result<RequestId, Failed> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_unspecified| Failed::Trouble(Trouble::NoRandomness))?;
    Ok(RequestId::of(random))
}

/// Three tokens that differ in what they are for only. Each costs a part of a millisecond, which no thread of traffic should
/// wait for.
pub(super) async fn tokens(
    room: &KeptRoom,
    (id, granted): (RequestId, Granted),
    nonce: Option<String>,
    now: u32,
) -> Result<Value, Failed> {
    let (settings, signer) = (room.settings(), room.signer(u64::from(now)).await?);
    let Granted { position, token, issuer, when } = granted;
    let claims = move |of_use: &str| {
        let mut claims = json!({
            "aud": &*settings.event,
            "exp": token.expires,
            "iat": token.issued,
            "iss": &*issuer,
            "nbf": token.issued,
            "queue_position": position,
            "sub": id.to_string(),
            "token_use": of_use,
        });
        if let (Some(nonce), "id", Some(members)) = (&nonce, of_use, claims.as_object_mut()) {
            members.insert("nonce".to_owned(), nonce.as_str().into());
        }
        claims.to_string()
    };
    let signed = room.desk().work(move || {
        let sign = |of_use| signer.sign("JWT", &claims(of_use), u64::from(now));
        Ok::<_, signing::Error>([sign("access")?, sign("refresh")?, sign("id")?])
    });
    let signed = signed.await.unwrap_or(Err(signing::Error::NoRandomness));
    let [access, refresh, identity] = signed.map_err(|error| Trouble::from(NoKeys::from(error)))?;
    let expires_in = match when {
        Taken::Now => token.expires - token.issued,
        Taken::Before => token.expires.saturating_sub(now),
    };
    Ok(json!({
        "access_token": access,
        "refresh_token": refresh,
        "id_token": identity,
        "token_type": "Bearer",
        "expires_in": expires_in,
    }))
}

/// No turn comes any more.
const CLOSED: Failed = Failed::Said(StatusCode::GONE, "The waiting room is closed");
/// Seconds after which somebody asks again when nobody knows when it opens.
const UNKNOWN_PAUSE: u32 = 60;
