//! Whether somebody holds a token of a room.

use serde::Deserialize;
use waiting_room::RequestId;

use crate::{KeptRoom, Trouble};

/// Whether it matters that a visit has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sessions {
    /// A token opens until it expires.
    #[default]
    Ignored,
    /// A token opens until its visit ends.
    Checked,
}

/// Why a token does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is no token that this room signed.
    #[error("it is no token of this room")]
    Forged,
    /// It is another token of this room: a refresh token, or an id token.
    #[error("it is no access token")]
    OtherUse,
    /// It is of another event or issuer.
    #[error("it is for another event, or of another issuer")]
    Elsewhere,
    /// It does not hold any more, or not yet.
    #[error("it has expired")]
    Expired,
    /// The visit has ended, or the room was reset since.
    #[error("the visit has ended")]
    Ended,
}

/// What of a token's claims matters here.
#[derive(Deserialize)]
struct Claims {
    aud: String,
    sub: String,
    iss: String,
    token_use: String,
    exp: u64,
    nbf: u64,
}

impl KeptRoom {
    /// Whose access token of this room this is, if it opens at this time, in seconds since 1970.
    pub async fn admitted(
        &self,
        token: &str,
        now: u64,
        sessions: Sessions,
    ) -> Result<Result<RequestId, Denied>, Trouble> {
        let settings = self.settings();
        let Some(claims) = self.verified(token, now).await? else { return Ok(Err(Denied::Forged)) };
        let Ok(claims) = serde_json::from_slice::<Claims>(&claims) else { return Ok(Err(Denied::Forged)) };
        let Ok(id) = claims.sub.parse::<RequestId>() else { return Ok(Err(Denied::Forged)) };
        if claims.aud != *settings.event || claims.iss != *settings.issuer {
            return Ok(Err(Denied::Elsewhere));
        }
        if claims.token_use != "access" {
            return Ok(Err(Denied::OtherUse));
        }
        if now > claims.exp || claims.nbf > now.saturating_add(LEEWAY) {
            return Ok(Err(Denied::Expired));
        }
        if sessions == Sessions::Checked {
            self.seek(|room| room.token(id).is_some()).await?;
            let token = self.look(|room| room.token(id))?;
            if token.is_none_or(|(_, token)| token.ending.is_some()) {
                return Ok(Err(Denied::Ended));
            }
        }
        Ok(Ok(id))
    }
}

/// Seconds by which the clocks of two nodes may differ.
const LEEWAY: u64 = 60;
