//! What comes after it is known who calls: the product by which the app may do what it asks for.

use http::StatusCode;
use partners::{Target, Tie};
use pipeline::Exchange;
use problem::{Problem, ProblemKind};

/// The app has asked for the product that allows this, and nobody has approved yet.
pub static SUBSCRIPTION_PENDING: ProblemKind = ProblemKind {
    code: "subscription-pending",
    status: StatusCode::FORBIDDEN,
    title: "The subscription to this product is not approved yet",
};

/// None of the app's products allows this.
pub static OPERATION_NOT_ALLOWED: ProblemKind = ProblemKind {
    code: "operation-not-allowed",
    status: StatusCode::FORBIDDEN,
    title: "Your products do not include this operation",
};

/// Notes the product by which a credential's app may do this, and what the exchange depends on; or says what to answer.
pub(crate) fn enter(tie: &Tie, exchange: &mut Exchange) -> Result<(), Problem> {
    let route = &exchange.route;
    let target = Target::new(&route.api, &exchange.method, exchange.target.path(), route.base);
    let grants = tie.app().grants();
    if let Some(granted) = grants.product_for(&target) {
        exchange.product = Some(granted.product().name.shared().clone());
        exchange.lives.extend([tie.life().clone(), granted.life().clone()]);
        return Ok(());
    }
    if let Some(product) = grants.pending_for(&target) {
        let detail = format!("Your subscription to the product `{product}` waits for approval.");
        return Err(Problem::new(&SUBSCRIPTION_PENDING).detail(detail).member("product", &**product));
    }
    let products: Vec<&str> = grants.approved().map(|product| product.name.as_str()).collect();
    let have = if products.is_empty() { "no products".to_owned() } else { format!("only `{}`", products.join("`, `")) };
    // A request for the API's own path has nothing below it.
    let path = Some(target.path()).filter(|path| !path.is_empty()).unwrap_or("/");
    let (method, api) = (&exchange.method, &route.api);
    let detail = format!("{method} {path} of the API `{api}` is in none of your app's products: it has {have}.");
    Err(Problem::new(&OPERATION_NOT_ALLOWED).detail(detail).member("products", products))
}
