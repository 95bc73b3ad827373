//! `/companies/{company}/developers`: the people of a company.

use axum::response::{IntoResponse, Json};
use http::{StatusCode, header};
use partners::{CompanyName, Developer, DeveloperId, DeveloperName, NewDeveloper};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::Json as Sent;
use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::time;

/// What a developer is from now on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DeveloperReplacement")]
pub(crate) struct Replacement {
    /// What people call the person; the name, if it is left out.
    title: Option<String>,
    /// Where mail reaches the person.
    email: String,
}

/// A developer as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Developer")]
pub(crate) struct Shown {
    company: CompanyName,
    name: DeveloperName,
    title: String,
    email: String,
    created: String,
}

/// `GET /companies/{company}/developers`: lists a company's developers by name.
pub(crate) async fn list(
    Stored(storage): Stored,
    Named(company): Named<CompanyName>,
    Asked(page): Asked<Page>,
) -> Result<Listed<Shown>, Failure> {
    let named = |text: &str| Some(DeveloperId { company: company.clone(), developer: text.parse().ok()? });
    let after = page.after(named)?;
    let found = storage.partners.developers(&company, after.as_ref(), page.fetched()?).await?;
    page.of(found, |developer| developer.id.developer.to_string(), shown)
}

/// `POST /companies/{company}/developers`: makes one.
pub(crate) async fn create(
    Stored(storage): Stored,
    Named(company): Named<CompanyName>,
    Sent(new): Sent<NewDeveloper>,
) -> Result<impl IntoResponse, Failure> {
    let developer = storage.partners.create_developer(&company, new).await?;
    let location = format!("/companies/{company}/developers/{}", developer.id.developer);
    Ok((StatusCode::CREATED, tag(&developer), [(header::LOCATION, location)], Json(shown(developer.entity))))
}

/// `GET /companies/{company}/developers/{developer}`: shows one.
pub(crate) async fn show(Stored(storage): Stored, Named(id): Named<DeveloperId>) -> Result<impl IntoResponse, Failure> {
    let developer = storage.partners.developer(&id).await?;
    Ok((tag(&developer), Json(shown(developer.entity))))
}

/// `PUT /companies/{company}/developers/{developer}`: changes what the person is called and where mail goes.
pub(crate) async fn replace(
    Stored(storage): Stored,
    Named(id): Named<DeveloperId>,
    Sent(Replacement { title, email }): Sent<Replacement>,
) -> Result<impl IntoResponse, Failure> {
    let new = NewDeveloper { name: id.developer.to_string(), title, email };
    let developer = storage.partners.replace_developer(&id, new).await?;
    Ok((tag(&developer), Json(shown(developer.entity))))
}

/// `DELETE /companies/{company}/developers/{developer}`: deletes one.
pub(crate) async fn delete(Stored(storage): Stored, Named(id): Named<DeveloperId>) -> Result<StatusCode, Failure> {
    storage.partners.delete_developer(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(developer: Developer) -> Shown {
    let Developer { id: DeveloperId { company, developer }, title, email, created } = developer;
    Shown { company, name: developer, title, email, created: time::text(created) }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::{NOW, Tester};

    const DEVELOPERS: &str = "/companies/acme/developers";

    #[tokio::test]
    async fn a_developer_is_made_changed_listed_and_deleted() {
        let tester = Tester::with_app().await;
        let ann =
            json!({ "company": "acme", "name": "ann", "title": "ann", "email": "ann@acme.example", "created": NOW });

        let made = tester.post(DEVELOPERS, json!({ "name": "ann", "email": "ann@acme.example" })).await;

        made.is_made();
        assert_eq!(made.json, ann);
        assert_eq!(made.headers["location"], format!("{DEVELOPERS}/ann").as_str());
        let tag = made.headers["etag"].to_str().unwrap();
        let change = json!({ "title": "Ann Lee", "email": "lee@acme.example" });
        let changed = tester.put_with(&format!("{DEVELOPERS}/ann"), "if-match", tag, change.clone()).await;
        assert_eq!((changed.status, &changed.json["title"]), (StatusCode::OK, &json!("Ann Lee")));
        let late = tester.put_with(&format!("{DEVELOPERS}/ann"), "if-match", tag, change).await;
        late.is_problem(StatusCode::PRECONDITION_FAILED, "changed-meanwhile");
        tester.post(DEVELOPERS, json!({ "name": "bob", "email": "bob@acme.example" })).await.is_made();
        assert_eq!(tester.get(&format!("{DEVELOPERS}?limit=1")).await.json["next"], "ann");
        assert_eq!(tester.get(&format!("{DEVELOPERS}?limit=1&after=ann")).await.names(), ["bob"]);
        assert_eq!(tester.delete(&format!("{DEVELOPERS}/ann")).await.status, StatusCode::NO_CONTENT);
        tester.get(&format!("{DEVELOPERS}/ann")).await.is_problem(StatusCode::NOT_FOUND, "not-found");
        assert_eq!(
            tester.delete("/companies/acme").await.status,
            StatusCode::NO_CONTENT,
            "people go with their company"
        );
    }

    #[tokio::test]
    async fn every_mistake_is_named_with_its_field() {
        let tester = Tester::with_app().await;
        for (sent, pointers) in [
            (json!({ "name": "Ann", "email": "ann" }), vec!["/name", "/email"]),
            (json!({ "name": "ann", "email": "a@b@c" }), vec!["/email"]),
            (json!({ "name": "ann", "email": "a @b" }), vec!["/email"]),
            (json!({ "name": "ann", "email": "a@b", "phone": "1" }), vec!["/phone"]),
        ] {
            let answer = tester.post(DEVELOPERS, sent).await;
            answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
            assert_eq!(answer.pointers(), pointers, "{}", answer.text);
        }
        let nobody = tester.post("/companies/nobody/developers", json!({ "name": "ann", "email": "a@b" })).await;
        nobody.is_problem(StatusCode::NOT_FOUND, "not-found");
    }
}
