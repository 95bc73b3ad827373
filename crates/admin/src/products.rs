//! `/products`: bundles of operations that apps subscribe to.

use axum::response::{IntoResponse, Json};
use http::{StatusCode, header};
use partners::{ManagedBy, NewProduct, ProductName, Quota};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Product;

use crate::body::Json as Sent;
use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::time;

/// What a product is from now on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProductReplacement")]
pub(crate) struct Replacement {
    /// What it allows, such as `orders: GET /**`.
    operations: Vec<String>,
    /// How much of it an app may use; without, it is unlimited.
    quota: Option<Quota>,
}

/// A product as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Product")]
pub(crate) struct Shown {
    name: ProductName,
    operations: Vec<String>,
    quota: Option<Quota>,
    managed_by: ManagedBy,
    /// The configuration file does not tell when.
    created: Option<String>,
}

/// `GET /products`: lists them by name, the configuration file's and others.
pub(crate) async fn list(Stored(storage): Stored, Asked(page): Asked<Page>) -> Result<Listed<Shown>, Failure> {
    let after = page.after(|text| text.parse().ok())?;
    let found = storage.partners.products(after.as_ref(), page.fetched()?).await?;
    page.of(found, |product| product.name.to_string(), shown)
}

/// `POST /products`: makes one.
pub(crate) async fn create(Stored(storage): Stored, Sent(new): Sent<NewProduct>) -> Result<impl IntoResponse, Failure> {
    let product = storage.partners.create_product(new).await?;
    let location = format!("/products/{}", product.name);
    Ok((StatusCode::CREATED, tag(&product), [(header::LOCATION, location)], Json(shown(product.entity))))
}

/// `GET /products/{product}`: shows one.
pub(crate) async fn show(
    Stored(storage): Stored,
    Named(name): Named<ProductName>,
) -> Result<impl IntoResponse, Failure> {
    let product = storage.partners.product(&name).await?;
    Ok((tag(&product), Json(shown(product.entity))))
}

/// `PUT /products/{product}`: changes its operations and quota.
pub(crate) async fn replace(
    Stored(storage): Stored,
    Named(name): Named<ProductName>,
    Sent(replacement): Sent<Replacement>,
) -> Result<impl IntoResponse, Failure> {
    let Replacement { operations, quota } = replacement;
    let new = NewProduct { name: name.to_string(), operations, quota };
    let product = storage.partners.replace_product(new).await?;
    Ok((tag(&product), Json(shown(product.entity))))
}

/// `DELETE /products/{product}`: deletes one that no app is subscribed to.
pub(crate) async fn delete(Stored(storage): Stored, Named(name): Named<ProductName>) -> Result<StatusCode, Failure> {
    storage.partners.delete_product(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(product: Product) -> Shown {
    let Product { name, operations, quota, managed_by, created } = product;
    let created = match managed_by {
        ManagedBy::File => None,
        ManagedBy::Api => Some(time::text(created)),
    };
    Shown { name, operations, quota, managed_by, created }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::{NOW, Tester};

    #[tokio::test]
    async fn a_product_is_made_changed_and_deleted() {
        let tester = Tester::new();
        let quota = json!({ "requests": 10, "per": "hour" });

        let made = tester
            .post("/products", json!({ "name": "silver", "operations": ["orders: GET /**"], "quota": quota }))
            .await;
        let changed = tester.put("/products/silver", json!({ "operations": ["orders: * /**"] })).await;

        made.is_made();
        assert_eq!(made.headers["location"], "/products/silver");
        assert_eq!(made.json["quota"], quota);
        let expected = json!({
            "name": "silver", "operations": ["orders: * /**"], "quota": null, "managed_by": "api", "created": NOW
        });
        assert_eq!((changed.status, &changed.json), (StatusCode::OK, &expected));
        assert_eq!(tester.get("/products/silver").await.json, expected);
        assert_eq!(tester.delete("/products/silver").await.status, StatusCode::NO_CONTENT);
        tester.get("/products/silver").await.is_problem(StatusCode::NOT_FOUND, "not-found");
        let nothing = tester.put("/products/silver", json!({ "operations": ["orders: * /**"] })).await;
        nothing.is_problem(StatusCode::NOT_FOUND, "not-found");
    }

    #[tokio::test]
    async fn a_product_of_the_file_is_shown_and_not_changed() {
        let tester = Tester::new();
        let gold = tester.get("/products/gold").await;
        assert_eq!((&gold.json["managed_by"], &gold.json["created"]), (&json!("file"), &json!(null)));
        assert_eq!(tester.get("/products").await.names(), ["gold"]);

        let operations = json!(["orders: * /**"]);
        let taken = tester.post("/products", json!({ "name": "gold", "operations": operations })).await;
        let changed = tester.put("/products/gold", json!({ "operations": operations })).await;
        let deleted = tester.delete("/products/gold").await;

        for answer in [taken, changed, deleted] {
            answer.is_problem(StatusCode::CONFLICT, "managed-by-file");
        }
    }

    #[tokio::test]
    async fn a_product_that_is_subscribed_to_is_not_deleted() {
        let tester = Tester::with_app().await;
        tester.post("/products", json!({ "name": "silver", "operations": ["orders: GET /**"] })).await.is_made();
        tester.post("/companies/acme/apps/shop/subscriptions", json!({ "product": "silver" })).await.is_made();
        tester.delete("/products/silver").await.is_problem(StatusCode::CONFLICT, "in-use");
    }

    #[tokio::test]
    async fn every_mistake_is_named_with_its_field() {
        let tester = Tester::new();
        let cases = [
            (
                json!({ "name": "Bad", "operations": ["orders: get /", "x"] }),
                vec!["/name", "/operations/0", "/operations/1"],
            ),
            (
                json!({ "name": "a", "operations": [], "quota": { "requests": 0, "per": "day" } }),
                vec!["/operations", "/quota/requests"],
            ),
            (
                json!({ "name": "a", "operations": ["o: GET /"], "quota": { "requests": 1, "per": "eon" } }),
                vec!["/quota/per"],
            ),
            (
                json!({ "name": "a", "operations": ["o: GET /"], "quota": { "requests": -1, "per": "day" } }),
                vec!["/quota/requests"],
            ),
            (json!({ "name": "a" }), vec!["/operations"]),
        ];
        for (sent, pointers) in cases {
            let answer = tester.post("/products", sent).await;
            answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
            assert_eq!(answer.pointers(), pointers, "{}", answer.text);
        }
    }
}
