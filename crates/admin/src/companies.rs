//! `/companies`: the partners.

use axum::extract::State;
use axum::response::{IntoResponse, Json};
use http::{StatusCode, header};
use partners::{Company, CompanyName, Error, NewCompany};
use problem::Problem;
use schemars::JsonSchema;
use serde::Serialize;
use store::{StatementQuery, UsageQuery};

use crate::body::Json as Sent;
use crate::failure::{Failure, NAME_TAKEN};
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::{Admin, Storage, time};

/// A company as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Company")]
pub(crate) struct Shown {
    name: CompanyName,
    title: String,
    created: String,
}

/// `GET /companies`: lists them by name.
pub(crate) async fn list(Stored(storage): Stored, Asked(page): Asked<Page>) -> Result<Listed<Shown>, Failure> {
    let after = page.after(|text| text.parse().ok())?;
    let found = storage.partners.companies(after.as_ref(), page.fetched()?).await?;
    page.of(found, |company| company.name.to_string(), shown)
}

/// `POST /companies`: makes one. A name stands for one company for ever, where money is asked for by it.
pub(crate) async fn create(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Sent(new): Sent<NewCompany>,
) -> Result<impl IntoResponse, Failure> {
    if was_billed(&admin, &storage, &new.name).await? {
        let detail = "A company of this name was deleted whose usage or statements are kept: take another name.";
        return Err(Problem::new(&NAME_TAKEN).detail(detail).into());
    }
    let company = storage.partners.create_company(new).await?;
    let location = format!("/companies/{}", company.name);
    Ok((StatusCode::CREATED, tag(&company), [(header::LOCATION, location)], Json(shown(company.entity))))
}

/// `GET /companies/{company}`: shows one.
pub(crate) async fn show(
    Stored(storage): Stored,
    Named(name): Named<CompanyName>,
) -> Result<impl IntoResponse, Failure> {
    let company = storage.partners.company(&name).await?;
    Ok((tag(&company), Json(shown(company.entity))))
}

/// `DELETE /companies/{company}`: deletes one with its apps and keys, which die at once.
pub(crate) async fn delete(Stored(storage): Stored, Named(name): Named<CompanyName>) -> Result<StatusCode, Failure> {
    storage.partners.delete_company(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether usage or statements are kept of a company of this name which is not there any more.
async fn was_billed(admin: &Admin, storage: &Storage, name: &str) -> Result<bool, Failure> {
    let Ok(name) = name.parse::<CompanyName>() else { return Ok(false) };
    match storage.partners.company(&name).await {
        // It is refused as any name that is taken.
        Ok(_) => return Ok(false),
        Err(Error::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let company = Some(name.to_string());
    let query = StatementQuery { company: company.clone(), after: None, limit: 1 };
    if !storage.accounts.statements(&query).await?.is_empty() {
        return Ok(true);
    }
    // Its last requests may be in the journal still. Where they cannot be added up now, they are few.
    admin.node.count_usage().await.ok();
    let query = UsageQuery { company, hours: 0..u32::MAX, limit: 1, ..UsageQuery::default() };
    Ok(!storage.totals.query(&query).await?.is_empty())
}

fn shown(company: Company) -> Shown {
    let Company { name, title, created } = company;
    Shown { name, title, created: time::text(created) }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::{NOW, Tester};

    #[tokio::test]
    async fn a_name_under_which_somebody_else_was_billed_is_given_to_nobody() {
        let tester = Tester::new();
        tester.post("/companies", json!({ "name": "zeta" })).await.is_made();
        let period = json!({ "company": "zeta", "plan": "gold", "period": "2025-12" });
        tester.post("/statements", period).await.is_made();
        tester.delete("/companies/zeta").await;

        // What the node adds to the sums when it is asked to is usage of `node`.
        for name in ["node", "zeta"] {
            let refused = tester.post("/companies", json!({ "name": name })).await;
            refused.is_problem(StatusCode::CONFLICT, "name-taken");
        }
    }

    #[tokio::test]
    async fn a_company_is_made_shown_and_deleted() {
        let tester = Tester::new();

        let made = tester.post("/companies", json!({ "name": "acme", "title": "ACME Ltd" })).await;

        let acme = json!({ "name": "acme", "title": "ACME Ltd", "created": NOW });
        assert_eq!((made.status, &made.json), (StatusCode::CREATED, &acme));
        assert_eq!(made.headers["location"], "/companies/acme");
        assert_eq!(tester.get("/companies/acme").await.json, acme);
        assert_eq!(tester.delete("/companies/acme").await.status, StatusCode::NO_CONTENT);
        tester.get("/companies/acme").await.is_problem(StatusCode::NOT_FOUND, "not-found");
        tester.delete("/companies/acme").await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }

    #[tokio::test]
    async fn a_name_can_be_taken_once() {
        let tester = Tester::new();
        tester.post("/companies", json!({ "name": "acme" })).await.is_made();

        let second = tester.post("/companies", json!({ "name": "acme" })).await;

        second.is_problem(StatusCode::CONFLICT, "name-taken");
        assert!(second.text_of("detail").contains("`acme`"));
    }

    #[tokio::test]
    async fn every_mistake_is_named_with_its_field() {
        let answer = Tester::new().post("/companies", json!({ "name": "Acme!", "title": "" })).await;

        answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        assert_eq!(answer.pointers(), ["/name", "/title"]);
    }

    #[tokio::test]
    async fn a_list_goes_on_where_the_page_before_ended() {
        let tester = Tester::new();
        for name in ["a", "b", "c", "d", "e"] {
            tester.post("/companies", json!({ "name": name })).await.is_made();
        }

        let first = tester.get("/companies?limit=2").await;
        let second = tester.get("/companies?limit=2&after=b").await;
        let last = tester.get("/companies?limit=2&after=d").await;

        assert_eq!((first.names(), &first.json["next"]), (vec!["a", "b"], &json!("b")));
        assert_eq!((second.names(), &second.json["next"]), (vec!["c", "d"], &json!("d")));
        assert_eq!(last.names(), ["e"]);
        assert!(last.json.get("next").is_none());
        assert_eq!(tester.get("/companies?limit=5").await.json.get("next"), None);
    }

    #[tokio::test]
    async fn a_query_that_is_not_understood_is_refused() {
        let tester = Tester::new();
        for query in
            ["limit=0", "limit=1001", "limit=x", "limit=-1", "after=Not%20a%20name", "page=2", "limit=1&limit=2"]
        {
            let answer = tester.get(&format!("/companies?{query}")).await;
            answer.is_problem(StatusCode::BAD_REQUEST, "bad-query");
        }
    }

    #[tokio::test]
    async fn a_text_that_is_no_name_names_nothing() {
        let tester = Tester::new();
        for name in ["Acme", "a_b", "%00", "..%2f", "%ff"] {
            tester.get(&format!("/companies/{name}")).await.is_problem(StatusCode::NOT_FOUND, "not-found");
        }
    }
}
