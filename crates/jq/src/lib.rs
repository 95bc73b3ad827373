//! Programs in jq over JSON documents, with a bound on what each run costs.
//!
//! The language and its interpreter are those of `jaq-core`, whose values and functions are for callers to bring. `jaq-json` and
//! `jaq-std` are not used: they know no bound, and reach for the clock, the environment and the end of the process. Deliberately
//! not here: regular expressions, dates, modules, input and output.

mod budget;
mod functions;
mod value;

use jaq_core::data::HasLut;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, DataT, Filter, Lut, Vars};
use serde_json::Value;

use self::value::Val;

/// A program that was compiled.
pub struct Program(Filter<Kind>);

/// Something wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Mistake {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1, in letters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Why a program gave nothing that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It says so itself, or does something with a value that cannot be done.
    #[error("the program failed: {0}")]
    Said(String),
    /// It does not come to an end, or makes too much.
    #[error("the program takes too many steps, or makes too much")]
    TooMuch,
}

/// What programs work on.
struct Kind;

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

/// The interpreter looks every part of a program up before it runs it; so steps are counted here.
#[derive(Clone)]
struct Data<'a>(&'a Lut<Kind>);

impl<'a> HasLut<'a, Kind> for Data<'a> {
    fn lut(&self) -> &'a Lut<Kind> {
        budget::step();
        self.0
    }
}

impl Program {
    /// Compiles a program, or says what is wrong with it.
    pub fn compile(source: &str) -> Result<Self, Mistake> {
        if source.len() > LONGEST {
            let message = format!("is {} bytes long; a program can have {LONGEST} at most", source.len());
            return Err(Mistake { line: 1, column: 1, message });
        }
        // The parser calls itself for each part of a part.
        budget::with_stack(COMPILER_STACK, || compiled(source))
            .unwrap_or_else(|| Err(mistake(source, "", "cannot be compiled".to_owned())))
    }

    /// The first value that the program gives for a document, if it gives any.
    pub fn first(&self, document: &Value) -> Result<Option<Value>, Failure> {
        budget::bounded(|| {
            let input = Val::of(document);
            let context = Ctx::<Kind>::new(Data(&self.0.lut), Vars::new([]));
            match self.0.id.run((context, input)).next() {
                None => Ok(None),
                Some(Ok(value)) => Ok(Some(value.to_json())),
                Some(Err(exception)) => Err(Failure::Said(match exception.get_err() {
                    Ok(error) => cut(error.to_string()),
                    Err(_control) => "it leaves itself".to_owned(),
                })),
            }
        })
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Program")
    }
}

fn compiled(source: &str) -> Result<Program, Mistake> {
    let arena = Arena::default();
    let definitions = jaq_core::defs().chain(functions::definitions());
    let modules = Loader::new(definitions).load(&arena, File { code: source, path: () });
    let modules = modules.map_err(|errors| first_of_load(source, errors))?;
    let natives = jaq_core::funs().chain(functions::natives());
    let filter = Compiler::default().with_funs(natives).compile(modules);
    filter.map(Program).map_err(|errors| {
        let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
        let Some((name, undefined)) = first else { return mistake(source, "", "cannot be compiled".to_owned()) };
        mistake(source, name, format!("there is no {} `{name}`", undefined.as_str()))
    })
}

fn first_of_load(source: &str, errors: load::Errors<&str, ()>) -> Mistake {
    let first = errors.into_iter().map(|(_, error)| error).next();
    let told = match first {
        Some(load::Error::Lex(errors)) => {
            errors.into_iter().next().map(|(expected, at)| (at, format!("expected {}", expected.as_str())))
        }
        Some(load::Error::Parse(errors)) => {
            errors.into_iter().next().map(|(expected, at)| (at, format!("expected {}", expected.as_str())))
        }
        Some(load::Error::Io(errors)) => {
            errors.into_iter().next().map(|(at, _)| (at, "programs have no modules".to_owned()))
        }
        None => None,
    };
    let (at, message) = told.unwrap_or(("", "is no program".to_owned()));
    mistake(source, at, message)
}

/// A mistake at a part of a program, or at its end.
fn mistake(source: &str, part: &str, message: String) -> Mistake {
    let begin = source.as_ptr().addr();
    let offset = part.as_ptr().addr().checked_sub(begin).filter(|offset| *offset <= source.len());
    let before = offset.and_then(|offset| source.get(..offset)).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Mistake { line, column, message }
}

/// A message that is no longer than a line in a log should be.
fn cut(mut message: String) -> String {
    if let Some((at, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
        message.truncate(at);
        message.push('…');
    }
    message
}

/// The bytes that a program can have.
const LONGEST: usize = 2048;
/// Four times what was enough for the deepest programs of a test.
const COMPILER_STACK: usize = 128 << 20;
const LONGEST_MESSAGE: usize = 200;

#[cfg(test)]
mod tests;
