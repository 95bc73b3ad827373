//! How a session is opened: a place first, then the backend's answer.

use std::sync::Arc;

use attributes::places::Answer;
use futures::FutureExt;
use futures::future::join_all;
use http::header::{ACCEPT_ENCODING, HeaderValue, RETRY_AFTER};
use pipeline::{Exchange, Flow, Record, Verdict};
use problem::Problem;
use sessions::{About, Begun, Closing, Outcome, Sessions as Desk, group_of, session_id};
use store::{Done, Lease, LeaseId};

use super::{Noted, SESSION_NOT_HELD, SESSION_NOT_REPLACED, Sessions, TOO_MANY_SESSIONS};
use crate::outside::Background;

/// Not a refusal: it is the route's mistake and not the client's, so the route's `on_failure` decides.
#[derive(Debug, thiserror::Error)]
#[error("sessions are counted by {0}, and the request has none: place a policy before it that identifies callers")]
struct Nobody(&'static str);

/// A place that nobody uses yet. It is given back unless it is kept, whatever becomes of the request.
struct Place {
    id: Option<LeaseId>,
    desk: Arc<Desk>,
    background: Arc<dyn Background>,
}

impl Place {
    fn keep(mut self) -> Option<LeaseId> {
        self.id.take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(place) = self.id.take() else { return };
        let desk = self.desk.clone();
        let give_back = async move {
            // If that cannot be done, its time ends it.
            if let Err(cause) = desk.given_back(&place).await {
                tracing::warn!(%cause, "the place of a session that was not opened could not be given back");
            }
        };
        self.background.run(give_back.boxed());
    }
}

impl Sessions {
    /// Gets a place for the session that a request wants to open.
    pub(super) async fn begin(&self, exchange: &mut Exchange, rule: usize) -> Verdict {
        let about = self.about(exchange);
        let most = self.terms.most;
        if (most.company.is_some() || most.app.is_some()) && about.company.is_none() {
            return Err(Nobody("company").into());
        }
        if most.app.is_some() && about.app.is_none() {
            return Err(Nobody("app").into());
        }
        let (place, ousted) = match self.desk.begin(&about, &self.terms).await? {
            Begun::Full { group } => return Ok(self.full(&about, &group).into()),
            Begun::Granted { place, ousted } => (place, ousted),
        };
        let place = Place { id: Some(place), desk: self.desk.clone(), background: self.background.clone() };
        if !self.have_closed(&ousted).await? {
            let detail = "The service could not close it now. It is tried again; come back in a moment.";
            let retry = HeaderValue::from_static("5");
            return Ok(Problem::new(&SESSION_NOT_REPLACED).detail(detail).header(RETRY_AFTER, retry).into());
        }
        if self.open.get(rule).is_some_and(super::Opens::reads_body) {
            // What is compressed cannot be read.
            exchange.head.headers.remove(ACCEPT_ENCODING);
        }
        if let Some(place) = place.keep() {
            exchange.note(self.noted, Noted::Opening(place, rule));
        }
        Ok(Flow::Next)
    }

    /// Closes those that gave their places away; whether all are closed.
    async fn have_closed(&self, ousted: &[Lease]) -> Result<bool, store::Unavailable> {
        let closed = join_all(ousted.iter().map(|lease| self.desk.close(lease, &*self.asks))).await;
        let closed: Vec<_> = closed.into_iter().collect::<Result<_, _>>()?;
        Ok(closed.iter().all(|outcome| matches!(outcome, Outcome::Closed | Outcome::GivenUp)))
    }

    fn about(&self, exchange: &Exchange) -> About {
        let caller = exchange.caller.as_deref();
        let text = |name: &Arc<str>| name.as_ref().to_owned();
        About {
            pool: self.pool.clone(),
            company: caller.and_then(|caller| caller.company.as_ref().map(text)),
            app: caller.and_then(|caller| caller.app.as_ref().map(text)),
            credential: caller.map(|caller| caller.credential.to_string()),
            api: text(&exchange.route.api),
            client: exchange.client.to_string(),
        }
    }

    #[cold]
    fn full(&self, about: &About, group: &str) -> Problem {
        let (company, app) = (about.company.as_deref(), about.app.as_deref());
        let name = |company, app| group_of(Some(&*self.pool), company, app);
        let (whose, most) = if group == name(company, app) && app.is_some() {
            ("Your app has", self.terms.most.app)
        } else if group == name(company, None) && company.is_some() {
            ("Your company has", self.terms.most.company)
        } else {
            ("There are", self.terms.most.all)
        };
        let most = most.unwrap_or_default();
        let detail = format!("{whose} {most} of {most} sessions. Close one, or wait until one ends.");
        Problem::new(&TOO_MANY_SESSIONS).detail(detail).member("maximum", most)
    }

    /// Holds the session that the backend has opened, or gives its place back if it has opened none.
    pub(super) async fn settle(
        &self,
        exchange: &mut Exchange,
        place: LeaseId,
        rule: usize,
        answer: Answer<'_>,
    ) -> Verdict {
        let rule = self.open.get(rule).filter(|rule| rule.is_answered(&answer));
        let Some(rule) = rule else {
            // If that cannot be done, its time ends it.
            if let Err(cause) = self.desk.given_back(&place).await {
                tracing::warn!(%cause, "the place of a session that was not opened could not be given back");
            }
            return Ok(Flow::Next);
        };
        let Some(id) = rule.id.find(&answer) else { return Ok(not_held("id", "the answer has no id at this place")) };
        let mut members = vec![("id".into(), id.clone())];
        members.extend(rule.values.iter().filter_map(|(name, source)| Some((name.clone(), source.find(&answer)?))));
        exchange.session = Some(Arc::new(Record { members }));
        let closing = match self.close.as_ref().map(|close| close.closing(exchange)).transpose() {
            Ok(closing) => closing,
            Err((field, cause)) => return Ok(not_held(&field, &cause)),
        };
        let about = self.about(exchange);
        let id = session_id(&self.pool, about.company.as_deref(), &id);
        match self.desk.opened(&place, &id, &about, closing.as_ref()).await {
            Ok(Done::Now) => Ok(Flow::Next),
            Ok(Done::Gone) => {
                self.undo(closing);
                Ok(not_held("open", "the answer took longer than `idle`, so that the place is lost"))
            }
            Err(cause) => {
                self.undo(closing);
                Err(cause.into())
            }
        }
    }

    /// Closes a session at the backend that has no place.
    fn undo(&self, closing: Option<Closing>) {
        let (Some(closing), asks) = (closing, self.asks.clone()) else { return };
        self.background.run(async move { closing.undo(&*asks).await }.boxed());
    }
}

/// Its place stays taken for as long as the backend may have the session.
#[cold]
fn not_held(field: &str, cause: &str) -> Flow {
    let detail = format!("The policy `sessions` found no value for `{field}`.");
    let problem = Problem::new(&SESSION_NOT_HELD).detail(detail).because(format!("sessions: {field}: {cause}"));
    problem.member("policy", "sessions").member("field", field).into()
}
