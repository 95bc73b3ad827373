//! What an OpenID client asks: a room as a provider, whose client is the event and whose codes are request ids.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use waiting_room::{RequestId, Seconds};

use super::answer::{Failed, Kept, ok, text};
use super::public::{tokens, visitor};
use super::question::{Question, decoded, pairs};
use super::text::cleaned;
use crate::proving::WITHOUT_PROOF;
use crate::settings::OpenId;
use crate::{Admission, Joiner, KeptRoom, Trouble, Wish};

type Answered = Result<Response<Bytes>, Failed>;

/// Where everything is.
pub(super) fn configuration(room: &KeptRoom) -> Answered {
    let issuer = of(room)?.issuer.clone();
    let body = json!({
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userInfo"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "issuer": &*issuer,
        "response_types_supported": ["code"],
        "scopes_supported": ["openid"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    });
    Ok(ok(&body, Kept::Briefly))
}

/// All keys that may have signed tokens that are around.
pub(super) async fn jwks(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of(room)?;
    let keys = room.signer(question.now.into()).await?.public_keys();
    Ok(ok(&json!({ "keys": keys }), Kept::Briefly))
}

/// Sends a browser to the page where people join, and from there back, or has it wait here until it can be sent back.
pub(super) async fn authorize(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let (openid, settings) = (of(room)?, room.settings());
    let sent = |name: &str| question.parameter(name).unwrap_or_default();
    let [client, redirect, kind, scope] = ["client_id", "redirect_uri", "response_type", "scope"].map(sent);
    // Some clients encode twice what they send, and the original takes that.
    let is = |sent: &str, expected: &str| cleaned(sent) == expected || cleaned(&decoded(sent)) == expected;
    let is_redirect = |known: &&String| **known == redirect || **known == decoded(&redirect);
    let redirect = openid.redirect_uris.iter().find(is_redirect);
    let Some(redirect) = redirect else { return Err(bad_request()) };
    if !is(&client, &settings.event) || !is(&kind, "code") || !is(&scope, "openid") {
        return Err(bad_request());
    }
    let (state, nonce) = (sent("state"), question.parameter("nonce"));
    if nonce.as_ref().is_some_and(|nonce| nonce.len() > LONGEST_NONCE) {
        return Err(bad_request());
    }
    let Some(login) = &openid.login else { return wait(room, question, (redirect, &state)).await };
    // The site's own page sends whose turn has come here again, for a code that has the client's nonce in it.
    if let Some(id) = question.visitor(&settings)
        && room.has_turn(id, question.now).await?
    {
        return sent_back(room, (redirect, &state), (id, nonce.as_deref()));
    }
    let nonce = nonce.map(|nonce| format!("&nonce={}", encoded(&nonce))).unwrap_or_default();
    let location = format!(
        "{login}{mark}client_id={}&redirect_uri={}&response_type=code&state={}&scope=openid{nonce}",
        encoded(&settings.event),
        encoded(redirect),
        encoded(&state),
        mark = mark(login),
    );
    found(location)
}

/// Sends somebody back to the client with a code.
fn sent_back(room: &KeptRoom, (redirect, state): (&str, &str), (id, nonce): (RequestId, Option<&str>)) -> Answered {
    let code = room.tickets().code(room.name(), id, nonce);
    let state = if state.is_empty() { String::new() } else { format!("&state={}", encoded(state)) };
    found(format!("{redirect}{}code={}{state}", mark(redirect), encoded(&code)))
}

/// Shows the room's page to who waits, and sends who need not wait any more back with a code.
async fn wait(room: &KeptRoom, question: &Question<'_>, (redirect, state): (&str, &str)) -> Answered {
    let visitor = question.onlooker();
    let nonce = question.parameter("nonce");
    let ticket = room.shown(&visitor);
    let shown = ticket.map(|ticket| ticket.id);
    // A turn that was taken otherwise has tokens of another issuer.
    let openid = of(room)?;
    let is_another = room.look(|room| {
        let token = shown.and_then(|id| room.token(id)).map(|(_, token)| token);
        token.is_some_and(|token| room.issuer(&token) != Some(&openid.issuer))
    })?;
    let mut known = shown.filter(|_| !is_another);
    if question.parameter(WITHOUT_PROOF).is_some() && !has_place(room, known, question.now)? {
        known = Some(room.join_with(Joiner { client: question.client, ..Joiner::default() }, question.now).await?);
    }
    let joiner = Joiner { client: question.client, proof: room.proof(&visitor), ..Joiner::default() };
    let admission = room.await_turn(known, question.now, joiner).await?;
    let mut response = match admission {
        Admission::In(id) => sent_back(room, (redirect, state), (id, nonce.as_deref()))?,
        other => room.page(&visitor, other, ticket)?,
    };
    if let Admission::In(id) | Admission::Waits(id, _) | Admission::Held(id, ..) = admission
        && shown != Some(id)
        && let Some(cookie) = room.cookie(&visitor, id)
    {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

fn has_place(room: &KeptRoom, known: Option<RequestId>, now: Seconds) -> Result<bool, Trouble> {
    known.map_or(Ok(false), |id| room.has_place(id, now))
}

fn found(location: String) -> Answered {
    let mut response = text(StatusCode::FOUND, "");
    let location = HeaderValue::try_from(location).map_err(|_unfit| bad_request())?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// What stands before the first parameter that is added to an address.
fn mark(address: &str) -> char {
    if address.contains('?') { '&' } else { '?' }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Gives a client the tokens for a code, once its turn has come.
pub(super) async fn token(room: &KeptRoom, question: &Question<'_>) -> Answered {
    let (openid, settings) = (of(room)?, room.settings());
    let form = question.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !form.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM)) {
        return Err(Failed::Plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type"));
    }
    let body = String::from_utf8_lossy(question.body);
    let member = |name: &str| pairs(&body).find(|(known, _)| known == name).map(|(_, value)| value);
    let credential = match basic(question) {
        Some(credential) => Some(credential),
        None => member("client_id")
            .zip(member("client_secret"))
            .map(|(client, secret)| (client.into_owned(), secret.into_owned())),
    };
    let is_client = credential.is_some_and(|(client, secret)| {
        let is_secret = verify_slices_are_equal(secret.as_bytes(), openid.client_secret.as_bytes()).is_ok();
        is_secret && client == *settings.event
    });
    if !is_client || member("grant_type").as_deref() != Some("authorization_code") {
        return Err(bad_request());
    }
    let code = member("code").unwrap_or_default();
    let (code, nonce) = room.tickets().read_code(room.name(), &code).ok_or_else(bad_request)?;
    let id = visitor(room, &settings.event, code).ok().flatten().ok_or_else(bad_request)?;
    let wish = Wish { issuer: Some(openid.issuer.clone()), validity: None };
    let granted = room.take_turn(id, question.now, wish).await?.map_err(|_refusal| bad_request())?;
    Ok(ok(&tokens(room, (id, granted), nonce, question.now).await?, Kept::Never))
}

/// Tells what an access token says. Only one that this room signed, and that is as the room knows it.
pub(super) async fn user_info(room: &KeptRoom, question: &Question<'_>) -> Answered {
    of(room)?;
    let field = question.headers.get(AUTHORIZATION).and_then(|field| field.to_str().ok());
    let bearer =
        field.and_then(|field| field.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = bearer else {
        let mut response = text(StatusCode::UNAUTHORIZED, "Unauthorized");
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return Ok(response);
    };
    let claims = room.verified(token.trim(), question.now.into()).await?.ok_or_else(bad_request)?;
    let claims: Value = serde_json::from_slice(&claims).map_err(|_no_json| bad_request())?;
    if is_as_known(room, &claims, question.now)? { Ok(ok(&claims, Kept::Never)) } else { Err(bad_request()) }
}

/// Whether claims are those of an access token that holds.
fn is_as_known(room: &KeptRoom, claims: &Value, now: u32) -> Result<bool, Failed> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let Ok(id) = text("sub").parse::<RequestId>() else { return Ok(false) };
    let Some((position, token)) = room.look(|room| room.token(id))? else { return Ok(false) };
    let number = |name: &str| claims.get(name).and_then(Value::as_u64);
    let holds = now <= token.expires && token.ending.is_none();
    let is_same = number("iat") == Some(token.issued.into())
        && number("exp") == Some(token.expires.into())
        && number("queue_position") == Some(position.into());
    Ok(holds && is_same && text("token_use") == "access" && text("aud") == &*room.settings().event)
}

/// Name and secret of a client by HTTP Basic, each of which is encoded (RFC 6749, section 2.3.1).
fn basic(question: &Question<'_>) -> Option<(String, String)> {
    let (scheme, credential) = question.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credential = String::from_utf8(STANDARD.decode(credential.trim()).ok()?).ok()?;
    let (client, secret) = credential.split_once(':')?;
    Some((decoded(client).into_owned(), decoded(secret).into_owned()))
}

fn of(room: &KeptRoom) -> Result<Arc<OpenId>, Failed> {
    room.settings().openid.clone().ok_or_else(bad_request)
}

fn bad_request() -> Failed {
    Failed::Plain(StatusCode::BAD_REQUEST, "Bad Request")
}

const FORM: &str = "application/x-www-form-urlencoded";
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Characters of a nonce, which comes back in each code.
const LONGEST_NONCE: usize = 255;
