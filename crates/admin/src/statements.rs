//! `/statements`: what companies are to pay, and credit notes.

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use billing::{BadPeriod, Brief, Contract, Credit};
use control::{AccountError, LateUsage, Order, Recount};
use http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, StatusCode, header};
use model::plan::Meter;
use partners::CompanyName;
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{StatementQuery, StatementRow};

use crate::body::Json as Sent;
use crate::failure::{CONFLICT, Failure, NOT_FOUND, header_text, sentence};
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Nothing, Stored};
use crate::{Admin, Storage};

/// The statement would have hours that another one has.
pub(crate) static OVERLAPS: ProblemKind = ProblemKind {
    code: "statement-overlaps",
    status: StatusCode::CONFLICT,
    title: "Another statement has these hours",
};

/// What is closed never changes.
pub(crate) static CLOSED: ProblemKind =
    ProblemKind { code: "statement-closed", status: StatusCode::CONFLICT, title: "The statement is closed" };

/// The draft is not the one that was seen, or not what totals come to now.
pub(crate) static STALE: ProblemKind =
    ProblemKind { code: "statement-stale", status: StatusCode::CONFLICT, title: "The draft is not what it was" };

/// A statement to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewStatement")]
pub(crate) struct Wanted {
    company: String,
    /// By which plan; without, by the company's contract in that month.
    plan: Option<String>,
    /// By which contract of the company, if it has several in that month.
    #[serde(default)]
    contract: Option<String>,
    /// A month, such as `2026-01`.
    period: String,
    /// The first day of the contract, if it began within the month.
    #[serde(default)]
    contract_start: Option<String>,
    /// The day after the last one of the contract, if it ended within the month.
    #[serde(default)]
    contract_end: Option<String>,
}

/// What is to be closed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SeenStatement")]
pub(crate) struct Seen {
    /// The hash of the draft as it was seen.
    hash: String,
}

/// What is given back.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewCreditNote")]
pub(crate) struct Given {
    #[schemars(with = "Vec<CreditLine>")]
    lines: Vec<Credit>,
}

/// An amount that is given back, as it is described.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it stands for the type of the crate that reads it")]
struct CreditLine {
    /// Why.
    text: String,
    /// How much, as a decimal number.
    amount: String,
}

/// Which statements are asked for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StatementQuestion")]
pub(crate) struct Question {
    company: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// In which form something is asked for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StatementForm")]
pub(crate) struct Form {
    /// `json`, `csv` or `html`; without, what `Accept` prefers.
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "StatementFormat")]
enum Format {
    Json,
    Csv,
    Html,
}

/// A statement or a credit note with its content, exactly as it is kept.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StatementWithContent")]
pub(crate) struct Shown {
    #[serde(flatten)]
    brief: Brief,
    #[schemars(with = "serde_json::Value")]
    content: Box<RawValue>,
}

/// What a statement would be today.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Recount")]
pub(crate) struct Recounted {
    number: u64,
    /// Whether its content is what its hash names.
    intact: bool,
    /// Whether it would be the same today.
    same: bool,
    total: String,
    total_today: String,
    currency: String,
}

/// `GET /statements`: lists them by number.
pub(crate) async fn list(Stored(storage): Stored, Asked(question): Asked<Question>) -> Result<Listed<Brief>, Failure> {
    let Question { company, after, limit } = question;
    let page = Page::new(after, limit);
    let after = page.after(|text| text.parse().ok())?;
    let query = StatementQuery { company, after, limit: page.fetched()? };
    let found = storage.accounts.statements(&query).await?;
    page.of(found, |row| row.number.to_string(), Brief::of)
}

/// `POST /statements`: makes a draft, or makes it anew from the totals of now.
pub(crate) async fn create(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Asked(Nothing {}): Asked<Nothing>,
    Sent(wanted): Sent<Wanted>,
) -> Result<impl IntoResponse, Failure> {
    let order = order(contracted(&storage, wanted).await?)?;
    // What is not in the totals would be missing in the statement.
    admin.node.count_usage().await?;
    let row = storage.accounts.draft(&order).await?;
    note(&storage, "drafted", &row).await?;
    let location = format!("/statements/{}", row.number);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(shown(row)?)))
}

/// `GET /statements/{number}`: shows one, as JSON, CSV or a page to print.
pub(crate) async fn show(
    Stored(storage): Stored,
    Named(number): Named<u64>,
    Asked(form): Asked<Form>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let row = storage.accounts.statement(number).await?;
    match form.format.unwrap_or_else(|| preferred(&headers)) {
        Format::Json => Ok(Json(shown(row)?).into_response()),
        Format::Csv => {
            let named = format!("attachment; filename=\"statement-{number}.csv\"");
            let head = [(CONTENT_TYPE, "text/csv; charset=utf-8; header=present"), (CONTENT_DISPOSITION, &named)];
            Ok((head, billing::kept_table(&row).map_err(unreadable(&row))?).into_response())
        }
        Format::Html => {
            let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
            let head = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, policy)];
            Ok((head, billing::kept_page(&row).map_err(unreadable(&row))?).into_response())
        }
    }
}

/// `POST /statements/{number}/close`: closes a draft that was seen. It never changes any more.
pub(crate) async fn close(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(number): Named<u64>,
    Asked(Nothing {}): Asked<Nothing>,
    Sent(seen): Sent<Seen>,
) -> Result<impl IntoResponse, Failure> {
    admin.node.count_usage().await?;
    let was_open = storage.accounts.statement(number).await?.closed.is_none();
    let row = storage.accounts.close(number, &seen.hash).await?;
    if was_open {
        note(&storage, "closed", &row).await?;
    }
    Ok(Json(shown(row)?))
}

/// `DELETE /statements/{number}`: discards a draft.
pub(crate) async fn discard(
    Stored(storage): Stored,
    Named(number): Named<u64>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<StatusCode, Failure> {
    let row = storage.accounts.statement(number).await?;
    storage.accounts.discard(number).await?;
    note(&storage, "discarded", &row).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /statements/{number}/credit-notes`: gives back a part of a closed statement.
pub(crate) async fn credit(
    Stored(storage): Stored,
    Named(number): Named<u64>,
    Asked(Nothing {}): Asked<Nothing>,
    Sent(given): Sent<Given>,
) -> Result<impl IntoResponse, Failure> {
    let credit_note = storage.accounts.credit(number, given.lines).await?;
    note(&storage, "credited", &credit_note).await?;
    let location = format!("/statements/{}", credit_note.number);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(shown(credit_note)?)))
}

/// `GET /statements/{number}/recount`: compares a statement with the totals of now.
pub(crate) async fn recount(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(number): Named<u64>,
) -> Result<impl IntoResponse, Failure> {
    let row = storage.accounts.statement(number).await?;
    if row.corrects.is_some() {
        return Err(AccountError::NotClosed(number).into());
    }
    admin.node.count_usage().await?;
    let Recount { is_intact, total, is_same } = storage.accounts.recount(&row).await?;
    let (currency, total, total_today) =
        (row.currency.clone(), billing::kept_amount(&row, row.total), billing::kept_amount(&row, total));
    Ok(Json(Recounted { number, intact: is_intact, same: is_same, total, total_today, currency }))
}

/// Usage that came after its statement was closed, and is in no statement.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LateUsage")]
pub(crate) struct Late {
    /// The statement that was closed without it.
    statement: u64,
    company: String,
    /// The first day of the statement.
    from: String,
    /// The day after its last one.
    to: String,
    #[schemars(with = "String")]
    meter: Meter,
    product: String,
    api: String,
    operation: String,
    /// How much of it is in the statement.
    stated: u64,
    /// How much there is today.
    today: u64,
}

/// `GET /statements/late`: lists what was used in periods of closed statements and is not in them. A page ends with a statement,
/// and looks at so many at most: also one without items may have a `next`.
pub(crate) async fn late(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Asked(Question { company, after, limit }): Asked<Question>,
) -> Result<Listed<Late>, Failure> {
    /// Statements that are looked at for a page: each has its usage counted again.
    const AT_ONCE: usize = 100;
    let page = Page::new(after, limit);
    let (mut last, most): (Option<u64>, _) = (page.after(|text| text.parse().ok())?, page.shown()?);
    admin.node.count_usage().await?;
    let mut items = Vec::new();
    let query = StatementQuery { company, after: last, limit: AT_ONCE };
    let rows = storage.accounts.statements(&query).await?;
    let is_end = rows.len() < AT_ONCE;
    for row in rows {
        let late = storage.accounts.late(&row).await?;
        let Brief { number, company, from, to, .. } = Brief::of(row);
        items.extend(late.into_iter().map(|LateUsage { meter, product, api, operation, stated, today }| Late {
            statement: number,
            company: company.clone(),
            from: from.clone(),
            to: to.clone(),
            meter,
            product,
            api,
            operation,
            stated,
            today,
        }));
        last = Some(number);
        if items.len() >= most {
            return Ok(Listed::new(items, last.map(|last| last.to_string())));
        }
    }
    Ok(Listed::new(items, last.filter(|_| !is_end).map(|last| last.to_string())))
}

/// Notes in the audit log what became of a statement. Where that fails, the answer says that nobody knows what was done.
async fn note(storage: &Storage, change: &str, row: &StatementRow) -> Result<(), Failure> {
    let now = serde_json::to_value(Brief::of(row.clone())).unwrap_or_default();
    Ok(storage.partners.note(change, ("statement", &row.number.to_string()), now).await?)
}

/// What is wanted, by the plan and the dates of the company's contract where nobody says others.
async fn contracted(storage: &Storage, wanted: Wanted) -> Result<Wanted, Failure> {
    let wrong =
        |member: &str, reason: String| Failure::invalid(&[Finding::new(&Pointer::default().at(member), reason)]);
    let by_hand = wanted.plan.is_some() || wanted.contract_start.is_some() || wanted.contract_end.is_some();
    let (Ok(company), Ok(month), false) = (wanted.company.parse::<CompanyName>(), wanted.period.parse(), by_hand)
    else {
        return match (&wanted.plan, &wanted.contract) {
            (_, Some(_)) => Err(wrong("contract", "says the plan and its dates: leave those out".to_owned())),
            (None, None) if by_hand => Err(wrong("plan", "is missing: dates without it are of no contract".to_owned())),
            _ => Ok(wanted),
        };
    };
    let covers = |contract: &store::Contract| {
        Contract::read(Some(&contract.start), contract.end.as_deref()).is_ok_and(|dates| dates.within(month).is_ok())
    };
    let is_named = |contract: &store::Contract| {
        wanted.contract.as_ref().is_none_or(|name| contract.id.contract.as_str() == name.as_str())
    };
    let mut found = storage.partners.contracts(&company).await?;
    found.retain(|contract| is_named(contract) && covers(contract));
    match (found.pop(), found.is_empty()) {
        (Some(contract), true) => {
            let store::Contract { plan, start, end, .. } = contract;
            Ok(Wanted { plan: Some(plan), contract_start: Some(start), contract_end: end, ..wanted })
        }
        (Some(_), false) => Err(wrong("contract", format!("is missing: `{company}` has several in {month}"))),
        (None, _) if wanted.contract.is_some() => {
            Err(wrong("contract", format!("is none that covers a day of {month}")))
        }
        (None, _) => Err(wrong("plan", format!("is missing: `{company}` has no contract in {month}"))),
    }
}

fn order(wanted: Wanted) -> Result<Order, Failure> {
    let mut findings = Vec::new();
    let mut wrong =
        |member: &str, message: String| findings.push(Finding::new(&Pointer::default().at(member), message));
    if let Err(error) = wanted.company.parse::<CompanyName>() {
        wrong("company", error.to_string());
    }
    let month = wanted.period.parse();
    if let Err(error) = &month {
        wrong("period", BadPeriod::to_string(error));
    }
    let date = |text: &Option<String>| Contract::read(text.as_deref(), None).map(|read| read.start);
    let (start, end) = (date(&wanted.contract_start), date(&wanted.contract_end));
    for (member, read) in [("contract_start", &start), ("contract_end", &end)] {
        if let Err(error) = read {
            wrong(member, error.to_string());
        }
    }
    match (month, start, end) {
        (Ok(month), Ok(start), Ok(end)) if findings.is_empty() => {
            let Wanted { company, plan, .. } = wanted;
            Ok(Order { company, plan: plan.unwrap_or_default(), month, contract: Contract { start, end } })
        }
        _ => Err(Failure::invalid(&findings)),
    }
}

fn shown(row: StatementRow) -> Result<Shown, Failure> {
    let content = RawValue::from_string(row.body.clone()).map_err(unreadable(&row))?;
    Ok(Shown { brief: Brief::of(row), content })
}

fn unreadable(row: &StatementRow) -> impl FnOnce(serde_json::Error) -> Failure {
    let number = row.number;
    move |_cause| AccountError::Unreadable(number).into()
}

/// The first form that `Accept` names.
fn preferred(headers: &HeaderMap) -> Format {
    let accept = header_text(headers, ACCEPT).unwrap_or_default();
    let known = accept.split([',', ';']).find_map(|media| match media.trim() {
        "application/json" => Some(Format::Json),
        "text/csv" => Some(Format::Csv),
        "text/html" => Some(Format::Html),
        _ => None,
    });
    known.unwrap_or(Format::Json)
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        let told = |kind| Problem::new(kind).detail(sentence(&error.to_string()));
        let at = |member: &str| Self::invalid(&[Finding::new(&Pointer::default().at(member), error.to_string())]);
        match error {
            AccountError::NoPlan(_) => at("plan"),
            AccountError::Period(_) => at("period"),
            AccountError::TooMuch(_) => at("lines"),
            AccountError::Credit(bad) => {
                let lines = Pointer::default().at("lines");
                let place = bad.place().map_or(lines.clone(), |(line, part)| lines.at(line).at(part));
                Self::invalid(&[Finding::new(&place, bad.to_string())])
            }
            AccountError::NoStatement(_) => told(&NOT_FOUND).into(),
            AccountError::Overlaps(_) | AccountError::Stated(_) => told(&OVERLAPS).into(),
            AccountError::Closed(_) => told(&CLOSED).into(),
            AccountError::Changed(_) | AccountError::Outdated(_) => told(&STALE).into(),
            AccountError::NotOver(_) | AccountError::NotClosed(_) | AccountError::TooLarge(_) => told(&CONFLICT).into(),
            AccountError::Unreadable(_) => told(&crate::failure::FAILED).into(),
            AccountError::Unavailable(cause) => cause.into(),
        }
    }
}

#[cfg(test)]
#[path = "statements_tests.rs"]
mod tests;
