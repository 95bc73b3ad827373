//! What every [`Statements`] has to do.

#![expect(missing_docs, reason = "the names are the promises")]

use std::ops::Range;

use crate::{
    Closed, Credited, Discarded, Drafted, NewCredit, NewStatement, StatementQuery, StatementRow, Statements, UnixMicros,
};

/// A statement of these hours.
pub fn new(company: &str, hours: Range<u32>, body: &str) -> NewStatement {
    NewStatement {
        company: company.to_owned(),
        plan: "gold".to_owned(),
        hours,
        currency: "EUR".to_owned(),
        total: 1000,
        body: body.to_owned(),
        hash: format!("hash of {body}"),
        at: UnixMicros(5),
    }
}

fn credit(corrects: u64, total: i64) -> NewCredit {
    let (body, hash) = (format!("credit of {total}"), format!("hash of {total}"));
    NewCredit { corrects, total, body, hash, at: UnixMicros(9) }
}

async fn drafted(statements: &dyn Statements, new: &NewStatement) -> StatementRow {
    match statements.draft(new).await.unwrap() {
        Drafted::Draft(row) => row,
        Drafted::Overlaps(number) => panic!("it overlaps with {number}"),
    }
}

async fn closed(statements: &dyn Statements, new: &NewStatement) -> StatementRow {
    let row = drafted(statements, new).await;
    match statements.close(row.number, &row.hash, UnixMicros(7)).await.unwrap() {
        Closed::Now(row) => row,
        other => panic!("{other:?}"),
    }
}

pub async fn a_draft_is_kept_as_it_was_made(statements: &dyn Statements) {
    let row = drafted(statements, &new("acme", 10..20, "a")).await;

    assert_eq!(row, new("acme", 10..20, "a").draft(row.number));
    assert_eq!(statements.statement(row.number).await.unwrap(), Some(row));
}

pub async fn a_draft_made_anew_keeps_its_number(statements: &dyn Statements) {
    let first = drafted(statements, &new("acme", 10..20, "a")).await;
    let second = drafted(statements, &NewStatement { total: 7, ..new("acme", 10..20, "b") }).await;

    assert_eq!((second.number, second.total, second.body.as_str()), (first.number, 7, "b"));
    assert_eq!(statements.statement(first.number).await.unwrap(), Some(second));
}

pub async fn no_hour_of_a_company_is_in_two_statements(statements: &dyn Statements) {
    let first = drafted(statements, &new("acme", 10..20, "a")).await;
    for hours in [0..11, 19..30, 12..13, 0..30, 10..19] {
        let overlapping = statements.draft(&new("acme", hours.clone(), "b")).await.unwrap();
        assert_eq!(overlapping, Drafted::Overlaps(first.number), "{hours:?}");
    }
    let other = NewStatement { plan: "silver".to_owned(), ..new("acme", 10..20, "b") };
    assert_eq!(statements.draft(&other).await.unwrap(), Drafted::Overlaps(first.number));

    drafted(statements, &new("acme", 0..10, "before")).await;
    drafted(statements, &new("acme", 20..30, "after")).await;
    drafted(statements, &new("zeta", 10..20, "another's")).await;
}

pub async fn a_closed_statement_never_changes_and_never_goes(statements: &dyn Statements) {
    let row = closed(statements, &new("acme", 10..20, "a")).await;
    assert_eq!(row.closed, Some(UnixMicros(7)));

    assert_eq!(statements.draft(&new("acme", 10..20, "b")).await.unwrap(), Drafted::Overlaps(row.number));
    assert_eq!(statements.discard(row.number).await.unwrap(), Discarded::Closed);
    let again = statements.close(row.number, &row.hash, UnixMicros(99)).await.unwrap();
    assert_eq!(again, Closed::Before(row.clone()));
    assert_eq!(statements.statement(row.number).await.unwrap(), Some(row));
}

pub async fn only_what_was_seen_is_closed(statements: &dyn Statements) {
    let seen = drafted(statements, &new("acme", 10..20, "a")).await;
    let anew = drafted(statements, &new("acme", 10..20, "b")).await;

    assert_eq!(statements.close(seen.number, &seen.hash, UnixMicros(7)).await.unwrap(), Closed::Changed(anew.clone()));
    assert_eq!(statements.statement(seen.number).await.unwrap(), Some(anew));
    assert_eq!(statements.close(999, "hash", UnixMicros(7)).await.unwrap(), Closed::Missing);
}

pub async fn a_draft_goes_and_its_number_does_not_come_back(statements: &dyn Statements) {
    let first = drafted(statements, &new("acme", 10..20, "a")).await;

    assert_eq!(statements.discard(first.number).await.unwrap(), Discarded::Now);
    assert_eq!(statements.discard(first.number).await.unwrap(), Discarded::Missing);
    assert_eq!(statements.statement(first.number).await.unwrap(), None);
    assert!(drafted(statements, &new("acme", 10..20, "b")).await.number > first.number);
}

pub async fn credit_notes_give_back_no_more_than_was_paid(statements: &dyn Statements) {
    let row = closed(statements, &new("acme", 10..20, "a")).await;

    let Credited::Now(note) = statements.credit(&credit(row.number, 600)).await.unwrap() else { panic!("refused") };
    assert_eq!((note.corrects, note.closed, note.total), (Some(row.number), Some(UnixMicros(9)), 600));
    assert_eq!((note.company.as_str(), note.hours.clone(), note.body.as_str()), ("acme", 10..20, "credit of 600"));
    assert_eq!(statements.credit(&credit(row.number, 401)).await.unwrap(), Credited::TooMuch { left: 400 });
    assert!(matches!(statements.credit(&credit(row.number, 400)).await.unwrap(), Credited::Now(_)));
    assert_eq!(statements.credit(&credit(row.number, 1)).await.unwrap(), Credited::TooMuch { left: 0 });
    assert_eq!(statements.discard(note.number).await.unwrap(), Discarded::Closed);
}

pub async fn only_a_closed_statement_is_corrected(statements: &dyn Statements) {
    let draft = drafted(statements, &new("acme", 10..20, "a")).await;
    assert_eq!(statements.credit(&credit(draft.number, 1)).await.unwrap(), Credited::NotClosed);
    assert_eq!(statements.credit(&credit(999, 1)).await.unwrap(), Credited::Missing);

    let row = closed(statements, &new("acme", 20..30, "b")).await;
    let Credited::Now(note) = statements.credit(&credit(row.number, 1)).await.unwrap() else { panic!("refused") };
    assert_eq!(statements.credit(&credit(note.number, 1)).await.unwrap(), Credited::NotClosed);
}

pub async fn statements_are_listed_by_number_in_pages(statements: &dyn Statements) {
    let mut numbers = Vec::new();
    for (company, start) in [("acme", 0), ("zeta", 0), ("acme", 10), ("acme", 20)] {
        numbers.push(drafted(statements, &new(company, start..start + 10, "a")).await.number);
    }
    let list = async |company: Option<&str>, after: Option<u64>, limit: usize| {
        let query = StatementQuery { company: company.map(str::to_owned), after, limit };
        let found = statements.statements(&query).await.unwrap();
        found.into_iter().map(|row| row.number).collect::<Vec<_>>()
    };

    assert_eq!(list(None, None, 9).await, numbers);
    assert_eq!(list(None, None, 2).await, numbers[..2]);
    assert_eq!(list(None, Some(numbers[1]), 2).await, numbers[2..]);
    assert_eq!(list(Some("acme"), Some(numbers[0]), 9).await, numbers[2..]);
    assert_eq!(list(Some("nobody"), None, 9).await, [0_u64; 0]);
}
