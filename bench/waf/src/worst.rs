//! What bodies cost that mean to cost much: a hundred of them at the limit of size, and at a quarter and a half of it.

use std::sync::Arc;

use anyhow::Result;
use waf::{Environment, Rules, Transaction};

use crate::requests::{Chance, Request, posted};

/// Ways to fill a body of a size.
const WAYS: &[(&str, fn(&mut Chance, usize) -> Request)] = &[
    ("many arguments", many),
    ("one argument", one),
    ("JSON in JSON", nested),
    ("many strings of JSON", strings),
    ("many names of JSON", names),
    ("XML", xml),
    ("parts of multipart", multipart),
];

/// What one argument repeats.
const PIECES: &[&str] = &[
    "a",
    "A",
    "0",
    " ",
    "'",
    "\"",
    "`",
    "\\",
    "/",
    ".",
    "-",
    "=",
    "(",
    ")",
    "[",
    "{",
    "<",
    ">",
    ";",
    "|",
    "&amp",
    "$",
    "@",
    "#",
    "!",
    "*",
    "?",
    ",",
    ":",
    "~",
    "^",
    "_",
    "%",
    "%2",
    "%41",
    "%2541",
    "+",
    "\n",
    "\r\n",
    "\u{0}",
    "\u{e4}",
    "\u{2028}",
    "../",
    "..\\",
    "/etc/",
    "<a ",
    "<a href=",
    "<!--",
    "<![CDATA[",
    "on=",
    "onx = ",
    "javascript:",
    "&#x41;",
    "&#",
    "\\x41",
    "\\u0041",
    "\\101",
    "' or ",
    "' or 1=1 ",
    "1 or 1 ",
    "select ",
    "select(",
    "union all select ",
    "a from b ",
    "/*",
    "/*!",
    "--",
    "-- ",
    "0x41 ",
    "1e1",
    "a=b;",
    "$(",
    "${",
    "{{",
    "<%",
    "<?",
    "`id`",
    ";ls ",
    "|cat ",
    "@import ",
    "a.b.c.",
    "a,b,",
    "a(b(",
    "((a",
    "a b ",
    "a\tb\t",
    "x=y&&",
    "//",
    "http://",
    "data:",
];

/// Prints what the dearest cost, and whether any costs more than its size.
pub fn run(rules: &Arc<Rules>) -> Result<()> {
    let mut all: Vec<(String, [f64; 3])> = Vec::new();
    for (name, fill) in WAYS {
        for turn in 0..TURNS {
            let make = |size| fill(&mut Chance::begun(turn), size);
            all.push((format!("{name} ({turn})"), spent(rules, make)?));
        }
    }
    for piece in PIECES {
        let make = |size: usize| form(&mut Chance::begun(0), &format!("a={}", piece.repeat(size / piece.len())));
        all.push((format!("{piece:?} again and again"), spent(rules, make)?));
    }
    all.sort_by(|(_, one), (_, other)| other[2].total_cmp(&one[2]));
    println!("{} bodies of {LIMIT} bytes, and of a quarter and a half of it; milliseconds of the processor", all.len());
    for (name, [quarter, half, full]) in all.iter().take(SHOWN) {
        println!("{full:.1}\t{half:.1}\t{quarter:.1}\tx{:.1} from a quarter on\t{name}", full / quarter);
    }
    let slow = |times: &&(String, [f64; 3])| times.1[2] > 1.0 && times.1[2] / times.1[0] > 5.0;
    for (name, [quarter, half, full]) in all.iter().filter(slow) {
        println!("more than its size: {name}: {full:.1}, {half:.1}, {quarter:.1}");
    }
    Ok(())
}

/// The least of some rounds for each size.
fn spent(rules: &Arc<Rules>, make: impl Fn(usize) -> Request) -> Result<[f64; 3]> {
    let mut all = [f64::MAX; 3];
    let mut transaction = Transaction::new(Arc::clone(rules), Environment::default());
    for _ in 0..ROUNDS {
        for (least, size) in all.iter_mut().zip([LIMIT / 4, LIMIT / 2, LIMIT]) {
            let request = make(size);
            transaction.forget();
            let before = crate::spent();
            transaction = crate::judged(transaction, &request)?;
            *least = least.min(crate::spent() - before);
        }
    }
    Ok(all)
}

fn many(chance: &mut Chance, size: usize) -> Request {
    let fields: Vec<String> = (0..size / 128).map(|_| format!("{}={}", chance.token(8), chance.odd(110))).collect();
    form(chance, &fields.join("&"))
}

fn one(chance: &mut Chance, size: usize) -> Request {
    let field = format!("a={}", chance.odd(size));
    form(chance, &field)
}

fn nested(chance: &mut Chance, size: usize) -> Request {
    let depth = 400;
    let inner = chance.odd(size.saturating_sub(depth * 8)).replace(['"', '\\'], "'");
    json(chance, format!("{}\"{inner}\"{}", "{\"a\":[".repeat(depth), "]}".repeat(depth)))
}

fn strings(chance: &mut Chance, size: usize) -> Request {
    let each = |chance: &mut Chance| format!("\"{}\"", chance.odd(110).replace(['"', '\\'], "'"));
    let all: Vec<String> = (0..size / 128).map(|_| each(chance)).collect();
    json(chance, format!("[{}]", all.join(",")))
}

fn names(chance: &mut Chance, size: usize) -> Request {
    let each = |chance: &mut Chance| format!("\"{}\":1", chance.odd(110).replace(['"', '\\'], "'"));
    let all: Vec<String> = (0..size / 128).map(|_| each(chance)).collect();
    json(chance, format!("{{{}}}", all.join(",")))
}

fn xml(chance: &mut Chance, size: usize) -> Request {
    let each = |chance: &mut Chance| format!("<a b='x'>{}</a>", chance.odd(100).replace(['<', '&'], "'"));
    let all: Vec<String> = (0..size / 128).map(|_| each(chance)).collect();
    posted(chance, "application/xml", format!("<r>{}</r>", all.concat()).into_bytes())
}

fn multipart(chance: &mut Chance, size: usize) -> Request {
    let mut body = String::new();
    while body.len() < size {
        let (name, text) = (chance.token(8), chance.odd(60));
        body.push_str(&format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n"));
    }
    body.push_str("--B--\r\n");
    posted(chance, "multipart/form-data; boundary=B", body.into_bytes())
}

fn form(chance: &mut Chance, body: &str) -> Request {
    posted(chance, "application/x-www-form-urlencoded", body.as_bytes().to_vec())
}

fn json(chance: &mut Chance, body: String) -> Request {
    posted(chance, "application/json", body.into_bytes())
}

const LIMIT: usize = 128_000;
const TURNS: u64 = 2;
const ROUNDS: usize = 3;
const SHOWN: usize = 20;
