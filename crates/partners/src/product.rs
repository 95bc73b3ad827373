//! Products, ready to be asked.

use problem::{Finding, Pointer};
use store::{ManagedBy, ProductName, Quota};

use crate::{Operation, Target};

/// A product with its operations compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its name.
    pub name: ProductName,
    /// What it allows.
    pub operations: Vec<Operation>,
    /// How much of it an app may use, unless it is unlimited.
    pub quota: Option<Quota>,
    /// Who may change it.
    pub managed_by: ManagedBy,
}

impl Product {
    /// Whether one of its operations covers what a request wants.
    pub fn allows(&self, target: &Target<'_>) -> bool {
        self.operations.iter().any(|operation| operation.allows(target))
    }
}

/// Compiles operations as written at `at`; every one that is wrong is a finding.
pub(crate) fn compiled(operations: &[String], at: &Pointer) -> Result<Vec<Operation>, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut compiled = Vec::with_capacity(operations.len());
    for (index, written) in operations.iter().enumerate() {
        match written.parse() {
            Ok(operation) => compiled.push(operation),
            Err(error) => findings.push(Finding::new(&at.at(index), format!("{error}"))),
        }
    }
    if findings.is_empty() { Ok(compiled) } else { Err(findings) }
}
