//! Ways into a waiting room beside the common one: an invite in the address, a proof of work, and going without it.

use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use pipeline::{Body, Exchange, Flow, Verdict};
use rooms::{Joiner, KeptRoom, Ticket, Trouble, WITHOUT_PROOF, refused};
use waiting_room::NotJoined;

use super::states::Told;
use super::{WaitingRoom, seconds, visitor};

/// What the address of a page says for the room, and the address without that.
pub(super) struct Entrance {
    invite: Option<String>,
    rest: String,
}

/// An invite in the address of a page.
const INVITE: &str = "room-invite";

impl Entrance {
    /// What the address of a page says for the room, if it says anything.
    pub(super) fn of(exchange: &Exchange) -> Option<Self> {
        let query = exchange.head.uri.query().filter(|query| query.contains("room-"))?;
        let named =
            |pair: &str, name: &str| pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned);
        let invite = query.split('&').find_map(|pair| named(pair, INVITE));
        let is_ours = |pair: &&str| named(pair, INVITE).is_some() || named(pair, WITHOUT_PROOF).is_some();
        if !query.split('&').any(|pair| is_ours(&pair)) {
            return None;
        }
        let others: Vec<_> = query.split('&').filter(|pair| !is_ours(pair)).collect();
        let mark = if others.is_empty() { "" } else { "?" };
        Some(Self { invite, rest: format!("{}{mark}{}", exchange.head.uri.path(), others.join("&")) })
    }
}

impl WaitingRoom {
    /// Has somebody join by what the address says, and come again without that.
    pub(super) async fn come_by(
        &self,
        room: &KeptRoom,
        exchange: &mut Exchange,
        ticket: Option<Ticket>,
        entrance: Entrance,
    ) -> Verdict {
        let now = seconds(exchange);
        let (mut has, mut is_in) = (None, room.passed_since(&visitor(exchange)).is_some());
        if let Some(Ticket { id, .. }) = ticket {
            is_in |= room.has_turn(id, now).await?;
            has = room.has_place(id, now)?.then_some(id);
        }
        // Who is in needs no invite, and who goes without a proof does so once.
        if is_in || has.is_some() && entrance.invite.is_none() {
            return Ok(again(&entrance.rest));
        }
        let (client, invite) = (Some(exchange.client), entrance.invite.as_deref());
        let joiner = Joiner { client, invite, has, ..Joiner::default() };
        match room.join_with(joiner, now).await {
            Ok(id) => {
                if has != Some(id)
                    && let Some(cookie) = room.cookie(&visitor(exchange), id)
                {
                    exchange.note(self.given, cookie);
                }
                Ok(again(&entrance.rest))
            }
            // Somebody who came by the invite opens its address once more.
            Err(Trouble::NotJoined(NotJoined::InviteUsed | NotJoined::InviteRevoked)) if has.is_some() => {
                Ok(again(&entrance.rest))
            }
            // The page at this address says when it opens, and joins by the invite then.
            Err(Trouble::NotJoined(NotJoined::NotYet)) => Told { room, exchange, ticket }.too_early(),
            // The page itself says that it is over.
            Err(Trouble::NotJoined(NotJoined::Over)) => Ok(again(&entrance.rest)),
            Err(trouble) => match refused::told(&trouble) {
                Some(problem) => Ok(problem.into()),
                None => Err(trouble.into()),
            },
        }
    }
}

/// Sends a browser to an address of the same site.
fn again(rest: &str) -> Flow {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SEE_OTHER;
    // Two slashes at its beginning would be another site.
    let rest = format!("/{}", rest.trim_start_matches('/'));
    if let Ok(location) = HeaderValue::try_from(rest) {
        response.headers_mut().insert(LOCATION, location);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Flow::Respond(Box::new(response))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(target: &str) -> Exchange {
        pipeline::tester::exchange(Request::builder().uri(target))
    }

    #[test]
    fn what_an_address_says_for_the_room_is_taken_out_of_it() {
        for (target, invite, rest) in [
            ("/a?room-invite=x", Some("x"), "/a"),
            ("/a?b=1&room-invite=x-_y&c=room-2", Some("x-_y"), "/a?b=1&c=room-2"),
            ("/a?room-join=slow-lane&b", None, "/a?b"),
        ] {
            let entrance = Entrance::of(&asked(target)).unwrap();
            assert_eq!((entrance.invite.as_deref(), entrance.rest.as_str()), (invite, rest), "{target}");
        }
        for target in ["/a", "/a?b=room-invite", "/a?room-invited=1", "/room-invite=x"] {
            assert!(Entrance::of(&asked(target)).is_none(), "{target}");
        }
    }
}
