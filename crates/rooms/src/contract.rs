//! What visitors and operators of "Virtual Waiting Room on AWS" ask, path for path, status for status, member for member.

mod answer;
mod fair;
mod openid;
mod private;
mod public;
mod question;
mod text;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::{Method, Response};
use waiting_room::Compatibility;

pub use self::answer::Changed;
pub use self::question::Question;
use crate::{KeptRoom, Trouble};

/// One of the APIs of a room.
pub struct Api {
    room: Arc<KeptRoom>,
    side: Side,
}

/// Whom an API is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Visitors.
    Public,
    /// Operators and their programs.
    Private,
    /// OpenID clients.
    OpenId,
}

/// What becomes of a request by its method and path.
#[derive(Debug)]
pub enum Begun {
    /// It is answered.
    Answered(Response<Bytes>),
    /// It asks for this.
    Asks(Operation),
    /// It is none of this API.
    Elsewhere,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To join.
    AssignQueueNum,
    /// The place of a visitor.
    QueueNum,
    /// The serving number.
    ServingNum,
    /// How many wait.
    WaitingNum,
    /// To take a turn.
    GenerateToken,
    /// The key that tokens are signed with.
    PublicKey,
    /// For how long a turn can be taken.
    QueuePosExpiry,
    /// For how long a visitor will wait.
    WaitTime,
    /// To be told what is counted, as it changes.
    Watch,
    /// Whether the room lets visitors in.
    RoomState,
    /// What is known of the lottery.
    Lottery,
    /// Who drew which lot.
    LotteryPlaces,
    /// Something to compute before joining.
    Challenge,
    /// What computes it in a browser.
    ProofScript,
    /// To move the serving number.
    IncrementServingCounter,
    /// To end a visit.
    UpdateSession,
    /// How many visits go on.
    NumActiveTokens,
    /// Whose tokens have expired.
    ExpiredTokens,
    /// To begin anew.
    ResetInitialState,
    /// To take that back.
    UndoReset,
    /// To tell who left.
    UpdateInlet,
    /// Where an OpenID client finds everything.
    OpenIdConfiguration,
    /// The keys that tokens are signed with.
    Jwks,
    /// To be sent where people join.
    Authorize,
    /// To have the tokens for a code.
    Token,
    /// What an access token says.
    UserInfo,
}

impl Operation {
    /// Whether it has a body.
    pub fn is_post(self) -> bool {
        match self {
            Self::QueueNum
            | Self::ServingNum
            | Self::WaitingNum
            | Self::PublicKey
            | Self::QueuePosExpiry
            | Self::NumActiveTokens
            | Self::ExpiredTokens
            | Self::WaitTime
            | Self::Watch
            | Self::RoomState
            | Self::Lottery
            | Self::LotteryPlaces
            | Self::Challenge
            | Self::ProofScript
            | Self::OpenIdConfiguration
            | Self::Jwks
            | Self::Authorize
            | Self::UserInfo => false,
            Self::AssignQueueNum
            | Self::GenerateToken
            | Self::IncrementServingCounter
            | Self::UpdateSession
            | Self::ResetInitialState
            | Self::UndoReset
            | Self::UpdateInlet
            | Self::Token => true,
        }
    }

    fn named(side: Side, path: &str) -> Option<Self> {
        Some(match (side, path) {
            (Side::Public, "/assign_queue_num") => Self::AssignQueueNum,
            (Side::Public, "/queue_num") => Self::QueueNum,
            (Side::Public, "/serving_num") => Self::ServingNum,
            (Side::Public, "/waiting_num") => Self::WaitingNum,
            (Side::Public | Side::Private, "/generate_token") => Self::GenerateToken,
            (Side::Public, "/public_key") => Self::PublicKey,
            (Side::Public, "/queue_pos_expiry") => Self::QueuePosExpiry,
            (Side::Public, "/wait_time") => Self::WaitTime,
            (Side::Public, "/watch") => Self::Watch,
            (Side::Public, "/room_state") => Self::RoomState,
            (Side::Public, "/lottery") => Self::Lottery,
            (Side::Public, "/lottery_places") => Self::LotteryPlaces,
            (Side::Public, "/challenge") => Self::Challenge,
            (Side::Public, "/proof.js") => Self::ProofScript,
            (Side::Private, "/increment_serving_counter") => Self::IncrementServingCounter,
            (Side::Private, "/update_session") => Self::UpdateSession,
            (Side::Private, "/num_active_tokens") => Self::NumActiveTokens,
            (Side::Private, "/expired_tokens") => Self::ExpiredTokens,
            (Side::Private, "/reset_initial_state") => Self::ResetInitialState,
            (Side::Private, "/undo_reset") => Self::UndoReset,
            (Side::Private, "/update_inlet") => Self::UpdateInlet,
            (Side::OpenId, "/.well-known/openid-configuration") => Self::OpenIdConfiguration,
            (Side::OpenId, "/.well-known/jwks.json") => Self::Jwks,
            (Side::OpenId, "/authorize") => Self::Authorize,
            (Side::OpenId, "/token") => Self::Token,
            (Side::OpenId, "/userInfo") => Self::UserInfo,
            (Side::Public | Side::Private | Side::OpenId, _) => return None,
        })
    }
}

impl Api {
    /// This side of a room.
    pub fn new(room: Arc<KeptRoom>, side: Side) -> Self {
        Self { room, side }
    }

    /// The room.
    pub fn room(&self) -> &Arc<KeptRoom> {
        &self.room
    }

    /// What becomes of a request by its method and its path below the API's own.
    pub fn begin(&self, method: &Method, path: &str) -> Begun {
        let Some(operation) = Operation::named(self.side, path) else {
            return match self.room.settings().rules.compatibility {
                Compatibility::Strict => Begun::Answered(answer::missing_token()),
                Compatibility::Mended => Begun::Elsewhere,
            };
        };
        let expected = if operation.is_post() { Method::POST } else { Method::GET };
        match *method {
            Method::OPTIONS => Begun::Answered(answer::preflight(operation, &self.room.settings())),
            _ if *method == expected || (expected == Method::GET && *method == Method::HEAD) => Begun::Asks(operation),
            // Only to get a token by GET is known to clients of OpenID as a mistake.
            _ if operation == Operation::Token => Begun::Answered(answer::method_not_allowed()),
            _ => Begun::Answered(answer::missing_token()),
        }
    }

    /// What follows the head of an answer to [`Operation::Watch`] that is well.
    /// Whoever says by `request_id` who they are is there for as long as they take what they are told.
    pub fn watched(&self, question: &Question<'_>) -> Result<impl Stream<Item = Bytes> + Send + use<>, Trouble> {
        self.room.watched(question.visitor(&self.room.settings()), question.now)
    }

    /// The answer to whoever asks what needs a credential and has none that allows it.
    pub fn forbidden() -> Response<Bytes> {
        answer::forbidden()
    }

    /// The answer to whoever asks with a signature that does not allow it, for this reason.
    pub fn not_signed(reason: &str) -> Response<Bytes> {
        answer::not_signed(reason)
    }

    /// Answers. It waits for a moment if rooms are about to come to this process.
    pub async fn answer(&self, operation: Operation, question: &Question<'_>) -> Response<Bytes> {
        let room = &*self.room;
        if !room.is_here() {
            // If they do not come, that is what is answered.
            drop(tokio::time::timeout(PATIENCE, room.here()).await);
        }
        let answered = match operation {
            Operation::AssignQueueNum => public::assign(room, question).await,
            Operation::QueueNum => public::queue_num(room, question).await,
            Operation::ServingNum => public::serving_num(room, question),
            Operation::WaitingNum => public::waiting_num(room, question),
            Operation::GenerateToken => Box::pin(public::generate_token(room, question, self.side)).await,
            Operation::PublicKey => public::public_key(room, question).await,
            Operation::QueuePosExpiry => public::queue_pos_expiry(room, question).await,
            Operation::WaitTime => public::wait_time(room, question).await,
            Operation::Watch => public::watch(room, question),
            Operation::RoomState => public::room_state(room, question),
            Operation::Lottery => fair::lottery(room, question).await,
            Operation::LotteryPlaces => fair::lottery_places(room, question),
            Operation::Challenge => fair::challenge(room, question),
            Operation::ProofScript => Ok(fair::proof_script()),
            Operation::IncrementServingCounter => private::increment(room, question).await,
            Operation::UpdateSession => private::update_session(room, question).await,
            Operation::NumActiveTokens => private::num_active_tokens(room, question),
            Operation::ExpiredTokens => private::expired_tokens(room, question).await,
            Operation::ResetInitialState => private::reset(room, question).await,
            Operation::UndoReset => private::undo_reset(room, question).await,
            Operation::UpdateInlet => private::update_inlet(room, question).await,
            Operation::OpenIdConfiguration => openid::configuration(room),
            Operation::Jwks => openid::jwks(room, question).await,
            // Joins need less room, and are many.
            Operation::Authorize => Box::pin(openid::authorize(room, question)).await,
            Operation::Token => Box::pin(openid::token(room, question)).await,
            Operation::UserInfo => openid::user_info(room, question).await,
        };
        answered.unwrap_or_else(answer::Failed::into_response)
    }
}

/// How long a question waits for rooms that another process is to let go.
const PATIENCE: Duration = Duration::from_secs(3);
