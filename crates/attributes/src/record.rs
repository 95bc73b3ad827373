//! The members of a caller's record that a chain can give, and whether what is named is one of them.

use pipeline::ChainBuilder;
use problem::{Finding, Pointer};

use crate::attribute::{Attribute, nearest_of};
use crate::template::{HeaderText, Template};

/// The names of the members of a chain's record, which whoever fetches it lends to the policies that come next.
pub struct Members(pub Vec<String>);

/// Says that the chain can give the members of the record that a template names.
pub fn check(template: &Template, chain: &ChainBuilder, at: &Pointer) -> Result<(), Finding> {
    for name in template.attributes().filter_map(Attribute::record_member) {
        known(name, chain).map_err(|message| Finding::new(at, message))?;
    }
    Ok(())
}

/// As [`check`], of a header.
pub fn check_header(text: &HeaderText, chain: &ChainBuilder, at: &Pointer) -> Result<(), Finding> {
    match text {
        HeaderText::Constant(_) => Ok(()),
        HeaderText::Template(template) => check(template, chain, at),
    }
}

/// Says that the chain can give this member, or what is wrong.
pub(crate) fn known(name: &str, chain: &ChainBuilder) -> Result<(), String> {
    let Some(members) = chain.service::<Members>() else {
        return Err(format!("names `record.{name}`, but no `partner-record` before it fetches a record here"));
    };
    if members.0.iter().any(|known| known == name) {
        return Ok(());
    }
    let near = nearest_of(name, members.0.iter().map(String::as_str));
    let advice = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(format!("the record of `partner-record` has no `{name}`{advice}"))
}
