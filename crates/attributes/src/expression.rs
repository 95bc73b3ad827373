//! Conditions and keys in CEL, the Common Expression Language, over the attributes of an exchange.
//!
//! Everything is checked when it is compiled: names, functions, length, nesting. What is simple is then decided
//! without the interpreter (`quick`); the rest is interpreted over a view of the exchange that copies nothing that
//! the expression does not name (`view`).
//!
//! An attribute that an exchange does not have is an empty text; `has(...)` and `in` tell the two apart.

mod names;
mod quick;
mod view;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelInt, CelString, CelUInt};
use cel::common::value::Val;
use cel::parser::{Expression as Ast, ParseErrors};
use cel::{Context, Env, ExecutionError, Value};
use pipeline::{ChainBuilder, Condition, Exchange, Failure};
use problem::{Finding, Pointer};
use thiserror::Error;

use self::quick::{QuickCondition, QuickText};
use self::view::View;
use crate::record;

/// A condition as `when:` has it: an expression that is true or false.
pub fn condition(source: &str, at: &Pointer) -> Result<Arc<dyn Condition>, Finding> {
    Ok(as_condition(compile(source, at)?.expression))
}

/// As [`condition`], of a policy in a chain, which must be able to give the members of the record that are named.
pub fn condition_in(chain: &ChainBuilder, source: &str, at: &Pointer) -> Result<Arc<dyn Condition>, Finding> {
    Ok(as_condition(compile(source, at)?.known_in(chain, at)?))
}

fn as_condition(expression: Ast) -> Arc<dyn Condition> {
    match QuickCondition::of(&expression) {
        Some(quick) => Arc::new(quick),
        None => Arc::new(Interpreted(expression)),
    }
}

/// A key by which to count: an expression that is text, a whole number, true or false.
pub fn key(source: &str, at: &Pointer) -> Result<Key, Finding> {
    Ok(as_key(compile(source, at)?.expression))
}

/// As [`key`], of a policy in a chain, which must be able to give the members of the record that are named.
pub fn key_in(chain: &ChainBuilder, source: &str, at: &Pointer) -> Result<Key, Finding> {
    Ok(as_key(compile(source, at)?.known_in(chain, at)?))
}

fn as_key(expression: Ast) -> Key {
    let how = match QuickText::of(&expression) {
        Some(quick) => How::Quick(quick),
        None => How::Interpreted(expression),
    };
    Key(how)
}

/// A compiled [`key`].
#[derive(Debug)]
pub struct Key(How);

#[derive(Debug)]
enum How {
    Quick(QuickText),
    Interpreted(Ast),
}

impl Key {
    /// The key of an exchange.
    pub fn of<'a>(&'a self, exchange: &'a Exchange) -> Result<Cow<'a, str>, Failure> {
        match &self.0 {
            How::Quick(quick) => Ok(quick.text(exchange)),
            How::Interpreted(expression) => evaluate(expression, exchange, |value| key_text(value).map(Cow::Owned)),
        }
    }
}

/// Why an expression gave no answer.
#[derive(Debug, Error)]
enum NoAnswer {
    #[error("the expression failed: {0}")]
    Execution(#[from] ExecutionError),
    #[error("the expression is of type {0}, not {1}")]
    Type(String, &'static str),
}

struct Interpreted(Ast);

impl Condition for Interpreted {
    fn holds(&self, exchange: &Exchange) -> Result<bool, Failure> {
        evaluate(&self.0, exchange, |value| {
            let known = value.downcast_ref::<CelBool>().map(|known| *known.inner());
            known.ok_or_else(|| NoAnswer::Type(value.get_type().name().to_owned(), "bool"))
        })
    }
}

fn key_text(value: &dyn Val) -> Result<String, NoAnswer> {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Ok(text.inner().to_owned());
    }
    let number = value.downcast_ref::<CelInt>().map(|number| number.inner().to_string());
    let number = number.or_else(|| value.downcast_ref::<CelUInt>().map(|number| number.inner().to_string()));
    let number = number.or_else(|| value.downcast_ref::<CelBool>().map(|known| known.inner().to_string()));
    number.ok_or_else(|| NoAnswer::Type(value.get_type().name().to_owned(), "string"))
}

/// Interprets an expression; `read` takes what is wanted out of its value.
fn evaluate<T>(
    expression: &Ast,
    exchange: &Exchange,
    read: impl FnOnce(&dyn Val) -> Result<T, NoAnswer>,
) -> Result<T, Failure> {
    let view = View(exchange);
    let mut context = Context::with_env(ENVIRONMENT.clone());
    context.set_variable_resolver(&view);
    let value = Value::resolve_val(expression, &context).map_err(NoAnswer::from)?;
    Ok(read(value.as_ref())?)
}

/// An expression that can be evaluated, and what it needs of a chain.
struct Compiled {
    expression: Ast,
    /// The members of the caller's record that it names, with line and column.
    members: Vec<(String, (usize, usize))>,
}

impl Compiled {
    /// The expression, if the chain can give what it needs.
    fn known_in(self, chain: &ChainBuilder, at: &Pointer) -> Result<Ast, Finding> {
        for (name, (line, column)) in &self.members {
            record::known(name, chain)
                .map_err(|message| Finding::new(at, format!("line {line}, column {column}: {message}")))?;
        }
        Ok(self.expression)
    }
}

fn compile(source: &str, at: &Pointer) -> Result<Compiled, Finding> {
    let finding = |message: String| Finding::new(at, message);
    if source.trim().is_empty() {
        return Err(finding("is empty; write an expression such as `request.method == 'POST'`".into()));
    }
    if source.len() > LONGEST {
        let long = source.len();
        return Err(finding(format!("is {long} bytes long; an expression can have {LONGEST} at most")));
    }
    if deepest(source) > DEEPEST {
        return Err(finding(format!("has brackets within brackets more than {DEEPEST} deep")));
    }
    // The parser is generated, not ours, and calls itself often: it gets a stack that the longest expression cannot
    // fill, and a panic in it is one more way to say no.
    let read = std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(PARSER_STACK);
        parser.spawn_scoped(scope, || parse(source)).ok().and_then(|parser| parser.join().ok())
    });
    match read {
        Some(read) => read.map_err(finding),
        None => Err(finding("is not an expression that can be read".into())),
    }
}

fn parse(source: &str) -> Result<Compiled, String> {
    let (mut expression, places) =
        ENVIRONMENT.parser().parse_with_source_info(source).map_err(|errors| syntax(&errors))?;
    let place = |node| line_and_column(source, places.offset_for(node).map_or(0, |(start, _)| start as usize));
    let members = names::settle(&mut expression).map_err(|mistake| {
        let (line, column) = place(mistake.node);
        format!("line {line}, column {column}: {}", mistake.message)
    })?;
    let members = members.into_iter().map(|(node, name)| (name, place(node))).collect();
    Ok(Compiled { expression, members })
}

/// How deep brackets and conditionals stand within each other at most, those in texts too.
fn deepest(source: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in source.bytes() {
        match byte {
            // A conditional never closes: each `?` is one deeper to the end of the expression.
            b'(' | b'[' | b'{' | b'?' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The first of the parser's errors; the others mostly follow from it.
fn syntax(errors: &ParseErrors) -> String {
    match errors.errors.first() {
        Some(error) => format!("line {}, column {}: {}", error.pos.0, error.pos.1, error.msg),
        None => "is not an expression".into(),
    }
}

/// A byte offset as line and column, both counted from 1, the column in letters.
fn line_and_column(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// What an expression can call: the standard functions. Made once, because it is some hundred entries.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(false);
    view::add_functions(&mut env);
    Arc::new(env)
});

/// The bytes that an expression can have. With loops not nested (see `names`), this bounds what one costs.
const LONGEST: usize = 1024;

/// How deep brackets can stand within each other.
const DEEPEST: usize = 24;

/// Many times what the longest expression was seen to need.
const PARSER_STACK: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use http::Request;
    use pipeline::tester::exchange;
    use pipeline::{Caller, Tls};
    use proptest::prelude::*;

    use super::*;

    fn some_exchange() -> Exchange {
        let request =
            Request::post("/orders/7?limit=10&tag=a&tag=b%20c").header("x-foo", "Bar").header("accept", "*/*");
        let mut exchange = exchange(request);
        exchange.parameters.push(("id".into(), "7".into()));
        exchange.caller = Some(Arc::new(Caller {
            by: "api-key",
            credential: "k1".into(),
            company: Some("acme".into()),
            app: None,
            scopes: vec!["read".into(), "write".into()],
        }));
        exchange.product = Some("gold".into());
        exchange
    }

    fn holds(source: &str, exchange: &Exchange) -> bool {
        condition(source, &Pointer::default()).unwrap().holds(exchange).unwrap()
    }

    fn finding(source: &str) -> String {
        match condition(source, &Pointer::default().at("when")) {
            Ok(_) => panic!("nothing is wrong with {source}"),
            Err(finding) => finding.to_string(),
        }
    }

    #[test]
    fn conditions_see_the_request_the_route_and_the_caller() {
        let exchange = some_exchange();
        for source in [
            "request.method == 'POST'",
            "request.method in ['PUT', 'POST'] && !request.path.startsWith('/admin')",
            "request.path.endsWith('/7') || request.host == 'nowhere'",
            "request.headers['x-foo'] == 'Bar'",
            "request.headers['X-Foo'].contains('a')",
            "request.headers.accept == '*/*'",
            "request.query.limit == '10'",
            "int(request.query.limit) > 9",
            "request.query['tag'] == 'a'",
            "has(request.headers.accept) && !has(request.headers.none)",
            "'x-foo' in request.headers && !('x-bar' in request.headers)",
            "request.headers['none'] == '' && request.headers.none == ''",
            "request.headers.exists(name, name.startsWith('x-'))",
            "request.headers.size() == 2 && size(request.query) == 2",
            "request.query.all(name, request.query[name] != '')",
            "client.address.startsWith('192.0.2.')",
            "client.address.isIn('192.0.2.0/24')",
            "!client.address.isIn('2001:db8::/32')",
            "tls.server_name == '' && !has(tls.server_name)",
            "route.api == 'test' && route.template == '/{path}'",
            "parameters.id == '7' && parameters['id'] == '7'",
            "has(parameters.id) && !has(parameters.other)",
            "caller.company == 'acme' && has(caller.company)",
            "caller.app == '' && !has(caller.app)",
            "'read' in caller.scopes && !('admin' in caller.scopes)",
            "caller.scopes.exists(scope, scope == 'write') && size(caller.scopes) == 2",
            "product == 'gold'",
            "product + '/' + caller.company == 'gold/acme'",
            "request.scheme == 'http' ? true : false",
            "true",
        ] {
            assert!(holds(source, &exchange), "{source}");
            assert!(!holds(&format!("!({source})"), &exchange), "not {source}");
        }
    }

    #[test]
    fn the_server_name_of_tls_is_seen() {
        let mut exchange = some_exchange();
        let connection = Arc::get_mut(&mut exchange.connection).unwrap();
        connection.tls = Some(Tls { server_name: Some("api.example".into()), certificate: None });
        assert!(holds("tls.server_name == 'api.example' && has(tls.server_name)", &exchange));
    }

    #[test]
    fn mistakes_are_findings_with_line_and_column() {
        for (source, expected) in [
            (
                "request.hots == 'a'",
                "/when: line 1, column 1: there is no `request.hots`; did you mean `request.host`?",
            ),
            ("true &&\n  caler.company == 'a'", "/when: line 2, column 3: there is no `caler.company`; did you mean"),
            ("request == 'a'", "/when: line 1, column 1: `request` is a group; name one of its attributes"),
            ("request.host.name == 'a'", "column 1: there is no `request.host.name`; did you mean `request.host`?"),
            ("request.headers.a.b == ''", "`request.headers.a` is text and has no `b`"),
            ("request.host.startWith('a')", "there is no function `startWith`; did you mean `startsWith`?"),
            ("request.host.matches('a')", "there is no function `matches`"),
            ("request.host == ", "/when: line 1, column "),
            ("", "/when: is empty; write an expression such as"),
            ("[1].all(x, [2].all(y, x == y))", "a loop within a loop"),
            ("[1].all(x, z == x)", "column 12: there is no `z`; known are"),
            ("'x-foo' in request.header", "there is no `request.header`; did you mean `request.headers`?"),
        ] {
            let said = finding(source);
            assert!(said.contains(expected), "{source}: {said}");
        }
        assert!(finding(&"a".repeat(2000)).contains("is 2000 bytes long; an expression can have 1024 at most"));
        assert_eq!(finding(&"(".repeat(1000)), "/when: has brackets within brackets more than 24 deep");
    }

    #[test]
    fn no_expression_is_too_deep_for_the_stack() {
        for source in [
            "(".repeat(1000),
            "[".repeat(1000),
            "true?".repeat(200),
            "!".repeat(1000) + "true",
            "-".repeat(1000) + "1",
            "product".to_owned() + &".a".repeat(500),
            "product".to_owned() + &"['a']".repeat(200),
            "product".to_owned() + &".size()".repeat(140),
            "true".to_owned() + &"&&true".repeat(160),
            "1".to_owned() + &"+1".repeat(500),
            "1".to_owned() + &"<1".repeat(500),
            "true?true:".repeat(100) + "true",
            "'".repeat(1000),
        ] {
            if let Ok(condition) = condition(&source, &Pointer::default()) {
                let _verdict = condition.holds(&some_exchange());
            }
        }
    }

    #[test]
    fn what_cannot_be_evaluated_is_the_policy_s_own_trouble() {
        let exchange = some_exchange();
        for source in ["int(request.host) == 1", "1 / 0 == 1", "request.host", "'a' < 1"] {
            assert!(condition(source, &Pointer::default()).unwrap().holds(&exchange).is_err(), "{source}");
        }
    }

    #[test]
    fn a_key_is_text_made_of_attributes() {
        let exchange = some_exchange();
        for (source, expected) in [
            ("caller.company", "acme"),
            ("caller.company + ':' + request.headers['x-foo']", "acme:Bar"),
            ("client.address", "192.0.2.1"),
            ("'all'", "all"),
            ("request.method == 'GET' ? 'read' : 'write'", "write"),
            ("size(request.query)", "2"),
            ("product != ''", "true"),
        ] {
            let key = key(source, &Pointer::default()).unwrap();
            assert_eq!(key.of(&exchange).unwrap(), expected, "{source}");
        }
        assert!(key("caller.scopes", &Pointer::default()).unwrap().of(&exchange).is_err());
    }

    /// Expressions of the kind that is decided without the interpreter.
    fn simple() -> impl Strategy<Value = String> {
        let attribute = prop::sample::select(vec![
            "request.method",
            "request.headers['x-foo']",
            "request.query.tag",
            "caller.company",
            "caller.app",
            "product",
        ]);
        let literal = prop::sample::select(vec!["''", "'POST'", "'Bar'", "'a'", "'acme'", "'gold'"]);
        let leaf = prop_oneof![
            (attribute.clone(), prop::sample::select(vec!["==", "!="]), literal.clone())
                .prop_map(|(attribute, operator, literal)| format!("{attribute} {operator} {literal}")),
            (attribute.clone(), prop::sample::select(vec!["startsWith", "endsWith", "contains"]), literal.clone())
                .prop_map(|(attribute, function, literal)| format!("{attribute}.{function}({literal})")),
            (attribute, literal.clone(), literal)
                .prop_map(|(attribute, one, other)| format!("{attribute} in [{one}, {other}]")),
            prop::sample::select(vec![
                "has(caller.app)",
                "has(request.headers.accept)",
                "'tag' in request.query",
                "'read' in caller.scopes",
                "client.address.isIn('192.0.2.0/24')",
                "true",
                "false",
            ])
            .prop_map(str::to_owned),
        ];
        leaf.prop_recursive(4, 16, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} && {other})")),
                (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} || {other})")),
                inner.prop_map(|one| format!("!({one})")),
            ]
        })
    }

    #[test]
    fn members_of_the_record_are_known_wherever_an_expression_names_them() {
        let members = |source: &str| compile(source, &Pointer::default()).unwrap().members;
        let source =
            "record.a == '' && has(record.b) ||\n record['c'] == caller.app && 'd' in record && size(record) > 0";
        let named: Vec<_> = members(source).into_iter().map(|(name, (line, _))| (name, line)).collect();
        assert_eq!(named, [("a", 1), ("b", 1), ("c", 2), ("d", 2)].map(|(name, line)| (name.to_owned(), line)));
        for source in ["request.headers['record.a'] == ''", "record.all(name, name != 'a')", "'a' in request.headers"] {
            assert_eq!(members(source), [], "{source}");
        }
    }

    proptest! {
        #[test]
        fn the_short_cut_and_the_interpreter_agree(source in simple()) {
            prop_assume!(source.len() <= LONGEST);
            let exchange = some_exchange();
            let expression = compile(&source, &Pointer::default()).unwrap().expression;
            let quick = QuickCondition::of(&expression).expect("a simple condition takes the short cut");
            let interpreted = Interpreted(expression).holds(&exchange).unwrap();
            prop_assert_eq!(quick.holds(&exchange).unwrap(), interpreted, "{}", source);
        }

        #[test]
        fn any_source_is_compiled_or_refused_without_a_panic(source in "[a-z.'()\\[\\]!&|=<>+ 0-9?:,{}\"-]{0,60}") {
            if let Ok(condition) = condition(&source, &Pointer::default()) {
                let _verdict = condition.holds(&some_exchange());
            }
        }
    }
}
