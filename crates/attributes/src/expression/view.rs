//! How an expression sees an exchange: values that borrow from it, made when they are asked for.

use std::sync::OnceLock;

use cel::common::traits::{Container, Indexer, Iterable, Iterator as CelIterator, Sizer};
use cel::common::types::{self, CelBool, CelInt, CelList, CelString, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Env, ExecutionError};
use ipnet::IpNet;
use pipeline::Exchange;

use super::names::{Meaning, meaning};
use crate::attribute::{Attribute, Table};

/// Gives an expression the attributes that it names.
pub(super) struct View<'a>(pub(super) &'a Exchange);

impl VariableResolver for View<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let exchange = self.0;
        Some(match meaning(variable)? {
            Meaning::Attribute(attribute) => CowVal::owned(CelString::from(attribute.text(exchange))),
            Meaning::Scopes => CowVal::owned(scopes(exchange)),
            Meaning::Table(table) => CowVal::owned(Rows { exchange, of: RowsOf::Table(table), names: OnceLock::new() }),
            Meaning::Group => {
                let of = RowsOf::Group(variable.into());
                CowVal::owned(Rows { exchange, of, names: OnceLock::new() })
            }
        })
    }
}

fn scopes(exchange: &Exchange) -> CelList<'_> {
    let scopes = exchange.caller.as_deref().map(|caller| caller.scopes.as_slice()).unwrap_or_default();
    let scopes: Vec<Box<dyn Val + '_>> =
        scopes.iter().map(|scope| Box::new(CelString::from(&**scope)) as Box<dyn Val + '_>).collect();
    CelList::from(scopes)
}

/// A map from names to texts that is never built: each row is looked up in the exchange.
struct Rows<'a> {
    exchange: &'a Exchange,
    of: RowsOf,
    /// Made only if an expression goes through all names.
    names: OnceLock<Vec<CelString<'a>>>,
}

#[derive(Clone)]
enum RowsOf {
    Table(Table),
    Group(Box<str>),
}

impl<'a> Rows<'a> {
    fn attribute(&self, name: &dyn Val) -> Result<Option<Attribute>, ExecutionError> {
        let Some(name) = name.downcast_ref::<CelString<'_>>() else {
            let got = name.get_type().name().to_owned();
            return Err(ExecutionError::UnexpectedType { got, want: "string".to_owned() });
        };
        Ok(match &self.of {
            RowsOf::Table(table) => table.entry(name.inner()),
            RowsOf::Group(group) => Attribute::named(&format!("{group}.{}", name.inner())).ok(),
        })
    }

    fn names(&self) -> &[CelString<'a>] {
        self.names.get_or_init(|| match self.of {
            RowsOf::Table(table) => table.names(self.exchange).into_iter().map(CelString::from).collect(),
            RowsOf::Group(_) => Vec::new(),
        })
    }
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the rows: errors print values, and these hold secrets.
        f.write_str("Rows")
    }
}

impl Val for Rows<'_> {
    fn get_type(&self) -> &Type {
        &types::MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &types::MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Self { exchange: self.exchange, of: self.of.clone(), names: OnceLock::new() })
    }
}

impl Container for Rows<'_> {
    fn contains(&self, name: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.attribute(name)?.is_some_and(|attribute| attribute.find(self.exchange).is_some()))
    }
}

impl Indexer for Rows<'_> {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let text = self.attribute(name)?.map(|attribute| attribute.text(self.exchange).into_owned());
        Ok(CowVal::owned(CelString::from(text.unwrap_or_default())))
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(name).map(CowVal::into_owned)
    }
}

impl Sizer for Rows<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.names().len()).unwrap_or(i64::MAX))
    }
}

impl Iterable for Rows<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn CelIterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Names(self.names().iter()))
    }
}

struct Names<'b, 'a>(std::slice::Iter<'b, CelString<'a>>);

impl<'b, 'v, 'a: 'v> CelIterator<'b, 'v> for Names<'b, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|name| name as &'b (dyn Val + 'v))
    }
}

/// Adds the functions that CEL does not have.
pub(super) fn add_functions(env: &mut Env) {
    let added =
        env.add_member_overload("isIn", "string_is_in_network", types::STRING_TYPE, vec![types::STRING_TYPE], is_in);
    debug_assert!(added.is_ok(), "nothing else is named `isIn`");
}

/// `address.isIn('192.0.2.0/24')`.
#[expect(clippy::needless_pass_by_value, reason = "the form that CEL's functions have")]
fn is_in<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = |index: usize| arguments.get(index).and_then(|value| value.downcast_ref::<CelString<'_>>());
    let address = text(0).and_then(|text| text.inner().parse().ok());
    let network: Option<IpNet> = text(1).and_then(|text| text.inner().parse().ok());
    match (address, network) {
        (Some(address), Some(network)) => {
            Ok(CowVal::owned(CelBool::from(network.contains::<&std::net::IpAddr>(&address))))
        }
        _ => Err(ExecutionError::function_error("isIn", "needs an address, and a network such as '192.0.2.0/24'")),
    }
}
