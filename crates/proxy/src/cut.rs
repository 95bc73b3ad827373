//! What becomes of an exchange when what it depends on is over: a credential, a subscription, a record.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use alarm::{Alarm, Lives, Over};
use http::StatusCode;
use problem::ProblemKind;

/// The credential, or the subscription, expired before the answer had come to its end.
pub(crate) static ACCESS_EXPIRED: ProblemKind = ProblemKind {
    code: "access-expired",
    status: StatusCode::FORBIDDEN,
    title: "Your credential expired before the answer had come to its end",
};

/// The credential was revoked before the answer had come to its end.
pub(crate) static ACCESS_REVOKED: ProblemKind = ProblemKind {
    code: "access-revoked",
    status: StatusCode::FORBIDDEN,
    title: "Your credential was revoked before the answer had come to its end",
};

/// The credential or the subscription was deleted before the answer had come to its end.
pub(crate) static ACCESS_DELETED: ProblemKind = ProblemKind {
    code: "access-deleted",
    status: StatusCode::FORBIDDEN,
    title: "Your access was deleted before the answer had come to its end",
};

/// The subscription was suspended before the answer had come to its end.
pub(crate) static ACCESS_SUSPENDED: ProblemKind = ProblemKind {
    code: "access-suspended",
    status: StatusCode::FORBIDDEN,
    title: "Your access was suspended before the answer had come to its end",
};

/// The record of the caller was gone before the answer had come to its end.
pub(crate) static RECORD_GONE: ProblemKind =
    ProblemKind { code: "record-gone", status: StatusCode::FORBIDDEN, title: "The record of your credential is gone" };

/// What a client is told whose answer has not begun, and what the logs say.
pub(crate) fn problem(over: Over) -> &'static ProblemKind {
    match over {
        Over::Expired => &ACCESS_EXPIRED,
        Over::Revoked => &ACCESS_REVOKED,
        Over::Deleted => &ACCESS_DELETED,
        Over::Suspended => &ACCESS_SUSPENDED,
        Over::RecordGone => &RECORD_GONE,
    }
}

/// What `work` comes to, unless what the alarm watches is over before; then that is not watched any more, because the
/// answer that says so is to be sent.
pub(crate) async fn unless_over<T>(alarm: &Alarm, mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, Over> {
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => alarm.poll_over(context).map(|over| {
            alarm.watch(Lives::new());
            Err(over)
        }),
    })
    .await
}
