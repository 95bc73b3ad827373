//! `/companies/{company}/apps`: the programs of a partner.

use axum::response::{IntoResponse, Json};
use http::{StatusCode, header};
use partners::{App, AppId, AppName, CompanyName, NewApp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::body::Json as Sent;
use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::time;

/// An app as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "App")]
pub(crate) struct Shown {
    company: CompanyName,
    name: AppName,
    title: String,
    created: String,
}

/// `GET /companies/{company}/apps`: lists them by name.
pub(crate) async fn list(
    Stored(storage): Stored,
    Named(company): Named<CompanyName>,
    Asked(page): Asked<Page>,
) -> Result<Listed<Shown>, Failure> {
    // A company that is not there has no apps; that is not the same as one without.
    storage.partners.company(&company).await?;
    let after = page.after(|text| text.parse().ok())?.map(|app| AppId { company: company.clone(), app });
    let found = storage.partners.apps(&company, after.as_ref(), page.fetched()?).await?;
    page.of(found, |app| app.id.app.to_string(), shown)
}

/// `POST /companies/{company}/apps`: makes one.
pub(crate) async fn create(
    Stored(storage): Stored,
    Named(company): Named<CompanyName>,
    Sent(new): Sent<NewApp>,
) -> Result<impl IntoResponse, Failure> {
    let app = storage.partners.create_app(&company, new).await?;
    let location = format!("/companies/{}/apps/{}", app.id.company, app.id.app);
    Ok((StatusCode::CREATED, tag(&app), [(header::LOCATION, location)], Json(shown(app.entity))))
}

/// `GET /companies/{company}/apps/{app}`: shows one.
pub(crate) async fn show(Stored(storage): Stored, Named(id): Named<AppId>) -> Result<impl IntoResponse, Failure> {
    let app = storage.partners.app(&id).await?;
    Ok((tag(&app), Json(shown(app.entity))))
}

/// `DELETE /companies/{company}/apps/{app}`: deletes one with its keys, which die at once.
pub(crate) async fn delete(Stored(storage): Stored, Named(id): Named<AppId>) -> Result<StatusCode, Failure> {
    storage.partners.delete_app(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(app: App) -> Shown {
    let App { id: AppId { company, app: name }, title, created } = app;
    Shown { company, name, title, created: time::text(created) }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::{NOW, Tester};

    #[tokio::test]
    async fn an_app_is_made_shown_and_deleted() {
        let tester = Tester::new();
        tester.post("/companies", json!({ "name": "acme" })).await.is_made();

        let made = tester.post("/companies/acme/apps", json!({ "name": "shop" })).await;

        let shop = json!({ "company": "acme", "name": "shop", "title": "shop", "created": NOW });
        assert_eq!((made.status, &made.json), (StatusCode::CREATED, &shop));
        assert_eq!(made.headers["location"], "/companies/acme/apps/shop");
        assert_eq!(tester.get("/companies/acme/apps/shop").await.json, shop);
        assert_eq!(tester.get("/companies/acme/apps").await.names(), ["shop"]);
        assert_eq!(tester.delete("/companies/acme/apps/shop").await.status, StatusCode::NO_CONTENT);
        tester.get("/companies/acme/apps/shop").await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }

    #[tokio::test]
    async fn apps_belong_to_a_company_that_is_there() {
        let tester = Tester::new();
        tester.get("/companies/acme/apps").await.is_problem(StatusCode::NOT_FOUND, "not-found");
        let made = tester.post("/companies/acme/apps", json!({ "name": "shop" })).await;
        made.is_problem(StatusCode::NOT_FOUND, "not-found");
        assert_eq!(made.json["detail"], "There is no company `acme`.");
    }

    #[tokio::test]
    async fn a_list_goes_on_where_the_page_before_ended() {
        let tester = Tester::with_app().await;
        tester.post("/companies/acme/apps", json!({ "name": "till" })).await.is_made();

        let first = tester.get("/companies/acme/apps?limit=1").await;
        let second = tester.get("/companies/acme/apps?limit=1&after=shop").await;

        assert_eq!((first.names(), &first.json["next"]), (vec!["shop"], &json!("shop")));
        assert_eq!((second.names(), second.json.get("next")), (vec!["till"], None));
    }
}
