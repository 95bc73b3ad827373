//! Settles the names in an expression before it is ever evaluated: unknown ones are mistakes, and `has` becomes `in`.

use cel::common::ast::operators;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue};
use cel::common::types::CelString;
use cel::parser::Expression as Ast;

use crate::attribute::{Attribute, Table, Unknown, nearest};

/// Something wrong with a part of an expression.
pub(super) struct Mistake {
    /// The part's number.
    pub(super) node: u64,
    pub(super) message: String,
}

/// What a chain of names such as `request.headers.accept` stands for.
pub(super) enum Meaning {
    Attribute(Attribute),
    Scopes,
    Table(Table),
    Group,
}

/// Checks every name, and rewrites what the view of an exchange would read differently. Returns the members of the caller's
/// record that are named, each with the part's number.
pub(super) fn settle(expression: &mut Ast) -> Result<Vec<(u64, String)>, Mistake> {
    let mut settling = Settling { bound: Vec::new(), loops: 0, depth: 0, members: Vec::new() };
    settling.settle(expression)?;
    Ok(settling.members)
}

/// The names of a chain, the outermost first, if the expression is one.
pub(super) fn chain(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", chain(&select.operand.expr)?, select.field)),
        _ => None,
    }
}

/// The number of the first name of a chain, whose place is where the chain begins.
fn first_of(expression: &Ast) -> u64 {
    match &expression.expr {
        Expr::Select(select) => first_of(&select.operand),
        _ => expression.id,
    }
}

/// What a name stands for, if it is known.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    if let Some(table) = Table::named(name) {
        return Some(Meaning::Table(table));
    }
    if GROUPS.contains(&name) {
        return Some(Meaning::Group);
    }
    match Attribute::named(name).ok()? {
        Attribute::Scopes => Some(Meaning::Scopes),
        attribute => Some(Meaning::Attribute(attribute)),
    }
}

struct Settling {
    /// The variables of the loops around.
    bound: Vec<String>,
    loops: usize,
    depth: usize,
    members: Vec<(u64, String)>,
}

impl Settling {
    fn settle(&mut self, expression: &mut Ast) -> Result<(), Mistake> {
        // The interpreter calls itself for every part of a part, on a worker's stack.
        if self.depth == DEEPEST {
            let message = format!("has parts within parts more than {DEEPEST} deep");
            return Err(Mistake { node: expression.id, message });
        }
        self.depth += 1;
        let settled = self.settle_parts(expression);
        self.depth -= 1;
        settled
    }

    fn settle_parts(&mut self, expression: &mut Ast) -> Result<(), Mistake> {
        let node = expression.id;
        if let Some(name) = chain(&expression.expr) {
            return self.check(&name, first_of(expression));
        }
        match &mut expression.expr {
            Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => {}
            Expr::Select(select) => {
                self.settle_operand(&mut select.operand)?;
                if select.test
                    && let Some(Meaning::Table(_) | Meaning::Group) =
                        chain(&select.operand.expr).filter(|name| self.is_free(name)).and_then(|name| meaning(&name))
                {
                    let name = Expr::Literal(LiteralValue::String(CelString::from(select.field.clone())));
                    let args = vec![Ast { id: node, expr: name }, std::mem::take(&mut *select.operand)];
                    self.check_member(&args, node)?;
                    expression.expr = Expr::Call(CallExpr { func_name: operators::IN.into(), target: None, args });
                }
            }
            Expr::Call(call) => self.settle_call(call, node)?,
            Expr::List(list) => self.settle_all(&mut list.elements)?,
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.settle(&mut entry.key)?;
                            self.settle(&mut entry.value)?;
                        }
                        EntryExpr::StructField(field) => self.settle(&mut field.value)?,
                    }
                }
            }
            Expr::Struct(made) => {
                return Err(Mistake { node, message: format!("there is no type `{}` to make one of", made.type_name) });
            }
            Expr::Comprehension(looped) => {
                self.settle(&mut looped.iter_range)?;
                // Each loop multiplies the cost by what a client can make long, so one is all there is.
                if self.loops > 0 {
                    return Err(Mistake { node, message: "has a loop within a loop, which costs too much".into() });
                }
                self.loops += 1;
                let outside = self.bound.len();
                self.bound.push(looped.iter_var.clone());
                self.bound.extend(looped.iter_var2.clone());
                self.bound.push(looped.accu_var.clone());
                for part in [&mut looped.accu_init, &mut looped.loop_cond, &mut looped.loop_step, &mut looped.result] {
                    self.settle(part)?;
                }
                self.bound.truncate(outside);
                self.loops -= 1;
            }
        }
        Ok(())
    }

    fn settle_call(&mut self, call: &mut CallExpr, node: u64) -> Result<(), Mistake> {
        let name = call.func_name.as_str();
        let is_operator = !name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !is_operator && !FUNCTIONS.contains(&name) {
            let advice = nearest(name, FUNCTIONS).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            return Err(Mistake { node, message: format!("there is no function `{name}`{advice}") });
        }
        if let Some(target) = &mut call.target {
            self.settle(target)?;
        }
        if name == operators::INDEX {
            let mut args = call.args.clone();
            args.reverse();
            self.note_member(&args, node);
        } else if name == operators::IN {
            self.note_member(&call.args, node);
        }
        self.settle_all(&mut call.args)
    }

    /// Notes what `name in record` and `record[name]` name.
    fn note_member(&mut self, args: &[Ast], node: u64) {
        if let [Ast { expr: Expr::Literal(LiteralValue::String(field)), .. }, table] = args
            && chain(&table.expr).is_some_and(|name| name == "record" && self.is_free(&name))
        {
            self.members.push((node, field.inner().to_owned()));
        }
    }

    fn settle_all(&mut self, parts: &mut [Ast]) -> Result<(), Mistake> {
        parts.iter_mut().try_for_each(|part| self.settle(part))
    }

    /// As [`Self::settle`], where a group alone may stand too.
    fn settle_operand(&mut self, operand: &mut Ast) -> Result<(), Mistake> {
        match chain(&operand.expr).filter(|name| self.is_free(name)).and_then(|name| meaning(&name)) {
            Some(Meaning::Group) => Ok(()),
            _ => self.settle(operand),
        }
    }

    /// Refuses to ask a group for what it never has.
    fn check_member(&mut self, args: &[Ast], node: u64) -> Result<(), Mistake> {
        let [Ast { expr: Expr::Literal(LiteralValue::String(field)), .. }, group] = args else { return Ok(()) };
        match chain(&group.expr) {
            Some(group) => self.check(&format!("{group}.{}", field.inner()), node),
            None => Ok(()),
        }
    }

    fn is_free(&self, name: &str) -> bool {
        let first = name.split('.').next().unwrap_or_default();
        !self.bound.iter().any(|bound| bound == first)
    }

    fn check(&mut self, name: &str, node: u64) -> Result<(), Mistake> {
        if !self.is_free(name) || TYPES.contains(&name) {
            return Ok(());
        }
        // `request.headers.a.b` would be read as the header `a.b`, which nobody means.
        let table = ["request.headers.", "request.query.", "parameters.", "record.", "session."]
            .iter()
            .find(|table| name.starts_with(**table));
        if let Some((first, rest)) =
            table.and_then(|table| name.strip_prefix(table)).and_then(|rest| rest.split_once('.'))
        {
            let table = table.copied().unwrap_or_default();
            return Err(Mistake { node, message: format!("`{table}{first}` is text and has no `{rest}`") });
        }
        match meaning(name) {
            Some(Meaning::Group) => {
                Err(Mistake { node, message: format!("`{name}` is a group; name one of its attributes") })
            }
            Some(Meaning::Attribute(Attribute::Record(member))) => {
                self.members.push((node, member.into_string()));
                Ok(())
            }
            Some(Meaning::Attribute(_) | Meaning::Scopes | Meaning::Table(_)) => Ok(()),
            None => Err(Mistake { node, message: Unknown::new(name).to_string() }),
        }
    }
}

/// How deep the parts of an expression can stand within each other.
const DEEPEST: usize = 48;

/// Names that only have attributes below them.
const GROUPS: [&str; 5] = ["request", "client", "tls", "route", "caller"];

/// Names of types, for `type(x) == string`.
const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// The functions that expressions can call, as methods or not.
const FUNCTIONS: [&str; 13] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "isIn",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];
