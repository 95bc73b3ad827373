//! `/companies/{company}/apps/{app}/subscriptions` and `/subscriptions`: which app may use which product.

use std::fmt;

use axum::response::{IntoResponse, Json};
use http::{StatusCode, header};
use partners::{AppId, AppName, CompanyName, ProductName, Subscription, SubscriptionId, SubscriptionState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::Json as Sent;
use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::{Storage, time};

/// A subscription to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewSubscription")]
pub(crate) struct New {
    /// To what.
    product: ProductName,
    /// `approved`, or `pending` where somebody has yet to decide.
    state: Option<First>,
}

/// The state that a subscription begins with.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "FirstState")]
enum First {
    Pending,
    Approved,
}

/// A subscription as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Subscription")]
pub(crate) struct Shown {
    company: CompanyName,
    app: AppName,
    product: ProductName,
    state: SubscriptionState,
    created: String,
    changed: String,
}

/// `GET /subscriptions`: lists those that wait for a decision, of all apps.
pub(crate) async fn pending(Stored(storage): Stored, Asked(page): Asked<Page>) -> Result<Listed<Shown>, Failure> {
    let after = page.after(cursor)?;
    let found = storage.partners.pending(after.as_ref(), page.fetched()?).await?;
    page.of(found, |subscription| Cursor(&subscription.id).to_string(), shown)
}

/// `GET /companies/{company}/apps/{app}/subscriptions`: lists an app's by product.
pub(crate) async fn list(
    Stored(storage): Stored,
    Named(app): Named<AppId>,
    Asked(page): Asked<Page>,
) -> Result<Listed<Shown>, Failure> {
    let after: Option<ProductName> = page.after(|text| text.parse().ok())?;
    storage.partners.app(&app).await?;
    let all = storage.partners.subscriptions(&app).await?;
    page.out_of(all, after.as_ref(), |subscription| subscription.id.product.clone(), shown)
}

/// `POST /companies/{company}/apps/{app}/subscriptions`: subscribes the app to a product.
pub(crate) async fn create(
    Stored(storage): Stored,
    Named(app): Named<AppId>,
    Sent(new): Sent<New>,
) -> Result<impl IntoResponse, Failure> {
    let state = match new.state.unwrap_or(First::Approved) {
        First::Pending => SubscriptionState::Pending,
        First::Approved => SubscriptionState::Approved,
    };
    let subscription = storage.partners.subscribe(&app, &new.product, state).await?;
    let location = format!("/companies/{}/apps/{}/subscriptions/{}", app.company, app.app, new.product);
    Ok((StatusCode::CREATED, tag(&subscription), [(header::LOCATION, location)], Json(shown(subscription.entity))))
}

/// `GET /companies/{company}/apps/{app}/subscriptions/{product}`: shows one.
pub(crate) async fn show(
    Stored(storage): Stored,
    Named(id): Named<SubscriptionId>,
) -> Result<impl IntoResponse, Failure> {
    let subscription = storage.partners.subscription(&id).await?;
    Ok((tag(&subscription), Json(shown(subscription.entity))))
}

/// `POST …/subscriptions/{product}/approve`: opens the product's operations to the app.
pub(crate) async fn approve(
    Stored(storage): Stored,
    Named(id): Named<SubscriptionId>,
) -> Result<impl IntoResponse, Failure> {
    decide(&storage, &id, SubscriptionState::Approved).await
}

/// `POST …/subscriptions/{product}/refuse`: says no.
pub(crate) async fn refuse(
    Stored(storage): Stored,
    Named(id): Named<SubscriptionId>,
) -> Result<impl IntoResponse, Failure> {
    decide(&storage, &id, SubscriptionState::Refused).await
}

/// `POST …/subscriptions/{product}/suspend`: closes the product's operations to the app for now.
pub(crate) async fn suspend(
    Stored(storage): Stored,
    Named(id): Named<SubscriptionId>,
) -> Result<impl IntoResponse, Failure> {
    decide(&storage, &id, SubscriptionState::Suspended).await
}

/// `DELETE /companies/{company}/apps/{app}/subscriptions/{product}`: ends one.
pub(crate) async fn delete(Stored(storage): Stored, Named(id): Named<SubscriptionId>) -> Result<StatusCode, Failure> {
    storage.partners.unsubscribe(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn decide(
    storage: &Storage,
    id: &SubscriptionId,
    state: SubscriptionState,
) -> Result<impl IntoResponse + use<>, Failure> {
    let subscription = storage.partners.decide(id, state).await?;
    Ok((tag(&subscription), Json(shown(subscription.entity))))
}

fn shown(subscription: Subscription) -> Shown {
    let Subscription { id: SubscriptionId { app, product }, state, created, changed } = subscription;
    let (created, changed) = (time::text(created), time::text(changed));
    Shown { company: app.company, app: app.app, product, state, created, changed }
}

/// A subscription's place among those of all apps: `company/app/product`.
struct Cursor<'a>(&'a SubscriptionId);

impl fmt::Display for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SubscriptionId { app, product } = self.0;
        write!(f, "{}/{}/{product}", app.company, app.app)
    }
}

fn cursor(text: &str) -> Option<SubscriptionId> {
    let mut names = text.split('/');
    let company = names.next()?.parse().ok()?;
    let app = names.next()?.parse().ok()?;
    let product = names.next()?.parse().ok()?;
    names.next().is_none().then_some(SubscriptionId { app: AppId { company, app }, product })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::{NOW, Tester};

    const OF_SHOP: &str = "/companies/acme/apps/shop/subscriptions";

    #[tokio::test]
    async fn a_subscription_is_approved_when_nobody_says_otherwise() {
        let tester = Tester::with_app().await;

        let made = tester.post(OF_SHOP, json!({ "product": "gold" })).await;

        let expected = json!({
            "company": "acme", "app": "shop", "product": "gold", "state": "approved", "created": NOW, "changed": NOW
        });
        assert_eq!((made.status, &made.json), (StatusCode::CREATED, &expected));
        assert_eq!(made.headers["location"], format!("{OF_SHOP}/gold").as_str());
        assert_eq!(tester.get(&format!("{OF_SHOP}/gold")).await.json, expected);
        assert_eq!(tester.get(OF_SHOP).await.json["items"], json!([expected]));
        tester.post(OF_SHOP, json!({ "product": "gold" })).await.is_problem(StatusCode::CONFLICT, "name-taken");
    }

    #[tokio::test]
    async fn what_is_pending_waits_for_a_decision() {
        let tester = Tester::with_app().await;
        tester.post(OF_SHOP, json!({ "product": "gold", "state": "pending" })).await.is_made();
        assert_eq!(tester.get("/subscriptions").await.json["items"][0]["product"], "gold");

        for (decision, state) in [("refuse", "refused"), ("approve", "approved"), ("suspend", "suspended")] {
            let decided = tester.post_nothing(&format!("{OF_SHOP}/gold/{decision}")).await;
            assert_eq!((decided.status, &decided.json["state"]), (StatusCode::OK, &json!(state)));
        }

        assert_eq!(tester.get("/subscriptions").await.json, json!({ "items": [] }));
        assert_eq!(tester.delete(&format!("{OF_SHOP}/gold")).await.status, StatusCode::NO_CONTENT);
        tester.get(&format!("{OF_SHOP}/gold")).await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }

    #[tokio::test]
    async fn a_list_of_those_that_wait_goes_on_where_the_page_before_ended() {
        let tester = Tester::with_app().await;
        tester.post("/products", json!({ "name": "silver", "operations": ["orders: GET /**"] })).await.is_made();
        for product in ["gold", "silver"] {
            tester.post(OF_SHOP, json!({ "product": product, "state": "pending" })).await.is_made();
        }

        let first = tester.get("/subscriptions?limit=1").await;
        let second = tester.get(&format!("/subscriptions?limit=1&after={}", first.text_of("next"))).await;

        assert_eq!(first.json["next"], "acme/shop/gold");
        assert_eq!(second.json["items"][0]["product"], "silver");
        assert!(second.json.get("next").is_none());
        for after in ["acme", "acme/shop", "acme/shop/gold/x", "a/b/"] {
            let answer = tester.get(&format!("/subscriptions?after={after}")).await;
            answer.is_problem(StatusCode::BAD_REQUEST, "bad-query");
        }
    }

    #[tokio::test]
    async fn nothing_is_subscribed_to_what_is_not_there() {
        let tester = Tester::with_app().await;
        let unknown = tester.post(OF_SHOP, json!({ "product": "tin" })).await;
        unknown.is_problem(StatusCode::NOT_FOUND, "not-found");
        assert_eq!(unknown.json["detail"], "There is no product `tin`.");
        let stranger = tester.post("/companies/acme/apps/none/subscriptions", json!({ "product": "gold" })).await;
        stranger.is_problem(StatusCode::NOT_FOUND, "not-found");
        let odd = tester.post(OF_SHOP, json!({ "product": "gold", "state": "suspended" })).await;
        odd.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        assert_eq!(odd.pointers(), ["/state"]);
        tester.post_nothing(&format!("{OF_SHOP}/gold/approve")).await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }
}
