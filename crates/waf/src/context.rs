//! What those need who read rules, whatever part of them.

use std::path::PathBuf;

use problem::Finding;

use crate::seclang::Text;
use crate::settings::Compatibility;
use crate::slots::{Constants, Slots};

/// What is known while rules are read.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) slots: Slots,
    pub(crate) constants: Constants,
    pub(crate) compatibility: Compatibility,
    /// What has no effect here, and why.
    pub(crate) notes: Vec<Finding>,
    /// What cannot be done here and is left out, and why.
    pub(crate) left_out: Vec<Finding>,
    /// Files that rules refer to.
    pub(crate) files: Vec<PathBuf>,
}

impl Context {
    pub(crate) fn new(compatibility: Compatibility) -> Self {
        let (slots, constants) = (Slots::new(), Constants::default());
        Self { slots, constants, compatibility, notes: Vec::new(), left_out: Vec::new(), files: Vec::new() }
    }

    /// An expression; nothing, if it cannot be done here and is left out.
    pub(crate) fn compiled<T>(&mut self, at: &Text, compiled: Result<T, String>) -> Result<Option<T>, Finding> {
        compiled.map(Some).or_else(|what| match patterns::needs_backtracking(&what) {
            Some(why) => self.refuse(at, "this expression", why).map(|()| None),
            None => Err(at.finding(0, what)),
        })
    }

    /// Meets what cannot be done here: a finding, or something that is left out.
    pub(crate) fn refuse(&mut self, at: &Text, what: &str, why: &str) -> Result<(), Finding> {
        match self.compatibility {
            Compatibility::Strict => {
                let message =
                    format!("{what} cannot be done here: {why}; or let `compatibility: lenient` leave it out");
                Err(at.finding(0, message))
            }
            Compatibility::Lenient => {
                self.left_out.push(at.finding(0, format!("{what} is left out: {why}")));
                Ok(())
            }
        }
    }
}
