//! What a company has beside its apps: people, and contracts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{BadName, CompanyName, ContractName, DeveloperName, UnixMicros};

/// Which developer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeveloperId {
    /// The company that the person works for.
    pub company: CompanyName,
    /// The person's name within the company.
    pub developer: DeveloperName,
}

/// A person of a company, whom operators write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Developer {
    /// Which one.
    #[serde(flatten)]
    pub id: DeveloperId,
    /// What people call the person.
    pub title: String,
    /// Where mail reaches the person.
    pub email: String,
    /// When it was made.
    pub created: UnixMicros,
}

/// Which contract.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContractId {
    /// Who pays.
    pub company: CompanyName,
    /// Its name within the company.
    pub contract: ContractName,
}

/// By which plan a company pays, and from when to when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Which one.
    #[serde(flatten)]
    pub id: ContractId,
    /// The rate plan, by the name that the configuration has for it.
    pub plan: String,
    /// Its first day, such as `2026-01-31`.
    pub start: String,
    /// The day after its last one, if it has one.
    pub end: Option<String>,
    /// When it was made.
    pub created: UnixMicros,
}

impl Contract {
    /// Whether there is a day on which both hold. Dates of this form are in the order of their letters.
    pub fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end = |one: &Self, other: &Self| other.end.as_ref().is_none_or(|end| one.start < *end);
        begins_before_end(self, other) && begins_before_end(other, self)
    }
}

macro_rules! owned {
    ($($id:ident of $name:ident;)*) => { $(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.company, self.$name)
            }
        }

        impl FromStr for $id {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let (company, name) = text.split_once('/').ok_or_else(|| BadName::Form(text.to_owned()))?;
                Ok(Self { company: company.parse()?, $name: name.parse()? })
            }
        }
    )* };
}

owned! {
    DeveloperId of developer;
    ContractId of contract;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(start: &str, end: Option<&str>) -> Contract {
        Contract {
            id: "acme/basic".parse().unwrap(),
            plan: "gold".to_owned(),
            start: start.to_owned(),
            end: end.map(str::to_owned),
            created: UnixMicros(0),
        }
    }

    #[test]
    fn contracts_that_follow_each_other_do_not_overlap() {
        let first = contract("2026-01-01", Some("2026-03-01"));
        for (other, overlaps) in [
            (contract("2026-03-01", None), false),
            (contract("2025-01-01", Some("2026-01-01")), false),
            (contract("2026-02-28", None), true),
            (contract("2025-01-01", Some("2026-01-02")), true),
            (contract("2026-01-10", Some("2026-01-11")), true),
            (contract("2025-01-01", None), true),
        ] {
            assert_eq!((first.overlaps(&other), other.overlaps(&first)), (overlaps, overlaps), "{other:?}");
        }
    }
}
