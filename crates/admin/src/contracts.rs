//! `/companies/{company}/contracts`: by which plan a company pays, and from when to when.

use axum::response::{IntoResponse, Json};
use http::{StatusCode, header};
use partners::{CompanyName, Contract, ContractId, ContractName, NewContract};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::Json as Sent;
use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::{Storage, time};

/// A contract to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewContract")]
pub(crate) struct New {
    /// Its name within the company, in kebab case.
    name: String,
    /// A rate plan of the configuration.
    plan: String,
    /// Its first day, such as `2026-01-31`.
    start: String,
    /// The day after its last one; without, it goes on.
    end: Option<String>,
}

/// What a contract is from now on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ContractReplacement")]
pub(crate) struct Replacement {
    /// A rate plan of the configuration.
    plan: String,
    /// Its first day, such as `2026-01-31`.
    start: String,
    /// The day after its last one; without, it goes on.
    end: Option<String>,
}

/// A contract as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Contract")]
pub(crate) struct Shown {
    company: CompanyName,
    name: ContractName,
    plan: String,
    start: String,
    end: Option<String>,
    created: String,
}

/// `GET /companies/{company}/contracts`: lists a company's contracts by name.
pub(crate) async fn list(
    Stored(storage): Stored,
    Named(company): Named<CompanyName>,
    Asked(page): Asked<Page>,
) -> Result<Listed<Shown>, Failure> {
    let after: Option<ContractName> = page.after(|text| text.parse().ok())?;
    let all = storage.partners.contracts(&company).await?;
    page.out_of(all, after.as_ref(), |contract| contract.id.contract.clone(), shown)
}

/// `POST /companies/{company}/contracts`: makes one. A company has one at a time.
pub(crate) async fn create(
    Stored(storage): Stored,
    Named(company): Named<CompanyName>,
    Sent(New { name, plan, start, end }): Sent<New>,
) -> Result<impl IntoResponse, Failure> {
    let new = checked(&storage, NewContract { name, plan, start, end })?;
    let contract = storage.partners.create_contract(&company, new).await?;
    let location = format!("/companies/{company}/contracts/{}", contract.id.contract);
    Ok((StatusCode::CREATED, tag(&contract), [(header::LOCATION, location)], Json(shown(contract.entity))))
}

/// `GET /companies/{company}/contracts/{contract}`: shows one.
pub(crate) async fn show(Stored(storage): Stored, Named(id): Named<ContractId>) -> Result<impl IntoResponse, Failure> {
    let contract = storage.partners.contract(&id).await?;
    Ok((tag(&contract), Json(shown(contract.entity))))
}

/// `PUT /companies/{company}/contracts/{contract}`: changes its plan and its dates.
pub(crate) async fn replace(
    Stored(storage): Stored,
    Named(id): Named<ContractId>,
    Sent(Replacement { plan, start, end }): Sent<Replacement>,
) -> Result<impl IntoResponse, Failure> {
    let new = checked(&storage, NewContract { name: id.contract.to_string(), plan, start, end })?;
    let contract = storage.partners.replace_contract(&id, new).await?;
    Ok((tag(&contract), Json(shown(contract.entity))))
}

/// `DELETE /companies/{company}/contracts/{contract}`: deletes one. Statements that were made by it stay.
pub(crate) async fn delete(Stored(storage): Stored, Named(id): Named<ContractId>) -> Result<StatusCode, Failure> {
    storage.partners.delete_contract(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// With dates in their one form, and a plan that there is.
fn checked(storage: &Storage, new: NewContract) -> Result<NewContract, Failure> {
    let mut findings = Vec::new();
    let mut wrong = |member: &str, reason: String| findings.push(Finding::new(&Pointer::default().at(member), reason));
    if let Err(error) = storage.accounts.plan(&new.plan) {
        wrong("plan", error.to_string());
    }
    let mut date = |member, text: &str| match billing::Contract::read(Some(text), None) {
        Ok(read) => read.start.map_or_else(String::new, |date| date.to_string()),
        Err(error) => {
            wrong(member, error.to_string());
            String::new()
        }
    };
    let start = date("start", &new.start);
    let end = new.end.as_deref().map(|end| date("end", end));
    if findings.is_empty() { Ok(NewContract { start, end, ..new }) } else { Err(Failure::invalid(&findings)) }
}

fn shown(contract: Contract) -> Shown {
    let Contract { id: ContractId { company, contract }, plan, start, end, created } = contract;
    Shown { company, name: contract, plan, start, end, created: time::text(created) }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::{NOW, Tester};

    const CONTRACTS: &str = "/companies/acme/contracts";

    #[tokio::test]
    async fn a_contract_is_made_changed_and_deleted() {
        let tester = Tester::with_app().await;

        let made = tester.post(CONTRACTS, json!({ "name": "first", "plan": "gold", "start": "2026-01-01" })).await;

        made.is_made();
        let first = json!({
            "company": "acme", "name": "first", "plan": "gold", "start": "2026-01-01", "end": null, "created": NOW
        });
        assert_eq!(made.json, first);
        let ended = json!({ "plan": "gold", "start": "2026-01-01", "end": "2026-04-01" });
        assert_eq!(tester.put(&format!("{CONTRACTS}/first"), ended).await.json["end"], "2026-04-01");
        tester.post(CONTRACTS, json!({ "name": "second", "plan": "gold", "start": "2026-04-01" })).await.is_made();
        assert_eq!(tester.get(CONTRACTS).await.names(), ["first", "second"]);
        assert_eq!(tester.delete(&format!("{CONTRACTS}/first")).await.status, StatusCode::NO_CONTENT);
    }

    #[tokio::test]
    async fn every_mistake_is_named_with_its_field() {
        let tester = Tester::with_app().await;
        tester.post(CONTRACTS, json!({ "name": "first", "plan": "gold", "start": "2026-01-01" })).await.is_made();
        for (sent, pointers) in [
            (json!({ "name": "x", "plan": "lead", "start": "soon", "end": "later" }), vec!["/plan", "/start", "/end"]),
            (json!({ "name": "X", "plan": "gold", "start": "2025-01-01" }), vec!["/name"]),
            (json!({ "name": "x", "plan": "gold", "start": "2025-02-01", "end": "2025-02-01" }), vec!["/end"]),
            (json!({ "name": "x", "plan": "gold", "start": "2026-05-01" }), vec!["/start"]),
        ] {
            let answer = tester.post(CONTRACTS, sent).await;
            answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
            assert_eq!(answer.pointers(), pointers, "{}", answer.text);
        }
    }
}
