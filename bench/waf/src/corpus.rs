//! Texts as people and programs send them: written down here, and read from whatever documentation a machine has.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::requests::Chance;

/// A text, and what kind of text it is.
pub struct Sample {
    pub kind: &'static str,
    pub text: String,
}

/// Everything that is written down here.
pub fn written() -> Vec<Sample> {
    let groups = [
        ("names", NAMES),
        ("prose", PROSE),
        ("markup", MARKUP),
        ("searches", SEARCHES),
        ("values", VALUES),
        ("code", CODE),
    ];
    let samples = groups
        .iter()
        .flat_map(|(kind, texts)| texts.iter().map(|text| Sample { kind: *kind, text: (*text).to_owned() }));
    samples.collect()
}

/// Paragraphs of documents below these folders, so many of each kind at most, spread over all of them.
pub fn found(places: &[PathBuf], most: usize) -> Result<Vec<Sample>> {
    let mut files = Vec::new();
    for place in places {
        list(place, &mut files).with_context(|| place.display().to_string())?;
    }
    files.sort();
    let mut kinds: Vec<(&'static str, Vec<String>)> = Vec::new();
    for file in files {
        let Some(kind) = kind_of(&file) else { continue };
        // What is not text of any kind is not what people send.
        let Ok(content) = std::fs::read_to_string(&file) else { continue };
        let at = kinds.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            kinds.push((kind, Vec::new()));
            kinds.len() - 1
        });
        kinds[at].1.extend(paragraphs(&content));
    }
    let mut chance = Chance::seeded(1);
    let mut samples = Vec::new();
    for (kind, mut texts) in kinds {
        texts.sort();
        texts.dedup();
        while texts.len() > most {
            let at = chance.below(texts.len() as u64) as usize;
            texts.swap_remove(at);
        }
        samples.extend(texts.into_iter().map(|text| Sample { kind, text }));
    }
    Ok(samples)
}

fn list(place: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if place.is_file() {
        files.push(place.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() && entry.metadata()?.len() < 1 << 20 {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn kind_of(file: &Path) -> Option<&'static str> {
    match file.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "md" | "markdown" => Some("Markdown"),
        "rst" => Some("reStructuredText"),
        "txt" => Some("plain text"),
        "po" => Some("translations"),
        "pod" | "pm" => Some("Perl and its manual"),
        "py" => Some("Python"),
        "rs" => Some("Rust"),
        "js" | "ts" => Some("JavaScript"),
        "toml" | "yaml" | "yml" | "ini" | "conf" => Some("settings"),
        "json" => Some("JSON"),
        "" if file.components().any(|part| part.as_os_str() == "doc") => Some("plain text"),
        _ => None,
    }
}

/// What somebody might paste: some lines, neither a word nor a book.
fn paragraphs(content: &str) -> impl Iterator<Item = String> {
    let whole = content.replace('\r', "");
    let texts: Vec<String> = whole.split("\n\n").map(|text| text.trim().to_owned()).collect();
    texts.into_iter().filter(|text| (20..4000).contains(&text.len()))
}

const NAMES: &[&str] = &[
    "O'Brien",
    "D'Angelo",
    "Conan O'Brien & Sons",
    "N'Golo Kanté",
    "L'Oréal",
    "Jeanne d'Arc",
    "Müller-Lüdenscheidt",
    "Mc'Donald's",
    "Dr. Martin Luther King, Jr.",
    "Sinéad O’Connor",
    "Björk Guðmundsdóttir",
    "José María Aznar y López",
    "Anne-Marie",
    "X Æ A-12",
    "Null",
    "True",
    "Select",
    "Drop Tables Inc.",
    "Union Jack",
    "Robert 'Bobby' Smith",
    "\"Weird Al\" Yankovic",
    "Guns N' Roses",
    "Rock 'n' Roll",
    "Toys \"R\" Us",
    "AT&T",
    "Yahoo!",
    "C++",
    "C#",
    ".NET",
    "Joe's Diner; Bar & Grill",
    "a@b.example",
    "first.last+tag@mail.example",
    "o'brien@mail.example",
    "12 St. John's Rd, Apt #5",
    "1/2 Elm Street",
    "Flat 3, 45 King's Cross",
    "Rue de l'Église 7",
    "P.O. Box 123 -- Attn: Bob",
    "Straße des 17. Juni 135",
    "5th Ave. & 42nd St.",
    "Val-d'Or, QC",
    "Coeur d'Alene, ID 83814",
    "L'Aquila (AQ)",
    "Martha's Vineyard",
    "Hawai'i",
    "Côte d'Ivoire",
    "'s-Hertogenbosch",
    "'t Goy",
    "Mo'orea",
    "An-Nur",
    "Ra's al-Khaimah",
];

const PROSE: &[&str] = &[
    "Select the best from the list where you like the colour, and order by phone.",
    "I can't select one from the list, can you? It's 5 or 6 times as long as it should be.",
    "Please update the table in the kitchen and set the chairs where they were.",
    "Insert into the slot marked 'A' -- not 'B' -- and turn.",
    "We want to delete from the guest list all who haven't answered; drop me a line.",
    "The union of all selected students and the committee voted 5-4; having said that, they're divided.",
    "Drop the table off at Mike's; he'll execute the plan with his crew.",
    "Create a view of the lake from the window, and grant all of us some peace.",
    "If 1 = 1 and 2 > 1 then it's true, or so they say.",
    "Is it 'or' or 'and'? It's \"or\", isn't it?",
    "She said: \"It's mine!\"; he said: 'No, it's mine'.",
    "50% off -- today only! Was $19.99, now $9.99 (that's 10 less).",
    "Meet me @ 5; bring cats, tails & heads. Ping me when you're there.",
    "Echo and ping are old; cat /etc is what the book says on page 12.",
    "My score was 3/4; and his? 4/4. id: 7, who am i?",
    "TODO: (1) wash; (2) dry; (3) iron -- then sleep (8 hours).",
    "Love <3 you all!!! :) ;-) :-P >:( \\o/ ^_^ <(^_^)>",
    "x < y and y > z; a<b, b>c; 1<2>0; if (a<b && c>d) return;",
    "The bug: on error resume next; the onload event fires, onclick= does not.",
    "Dear Sir/Madam,\n\nI'd like to order 2 items (no. 5 & 7). Don't call; e-mail.\n\n--\nBob O'Neil\nACME Inc.",
    "> On Monday, Ann wrote:\n> > Can we sleep (in) on Sunday?\n> Yes!\n\nGreat; see you. -- A.",
    "Begin at 10; end at 12. Declare your goods; cast your vote; convert 5 EUR to USD.",
    "Wait for delay 'til 5. Benchmark (3) was the best; sleep(y) head.",
    "It's the user's password that isn't null; it's empty ('').",
    "Order #1234; status='open' and priority=1 or urgent. Thanks!",
    "He asked whether 'admin' or 'root' was the name, like '%son'.",
    "Don't use 'like' like that. Between 5 and 6 o'clock in the morning is not null and void.",
    "Grüße aus Köln! Wie geht's? 'Gut', sagt er; \"sehr gut\".",
    "L'été s'en va ; c'est l'automne -- n'est-ce pas ?",
    "¿Qué tal? ¡Muy bien! 'Sí'; «no».",
    "Привет, мир! Это 'тест'; или нет?",
    "你好，世界！“测试”；或者‘不是’。",
    "こんにちは世界。「テスト」です；それとも？",
    "안녕하세요 세계! '시험'; 아니면?",
    "مرحبا بالعالم! 'اختبار'؛ أو لا؟",
    "שלום עולם! 'בדיקה'; או לא?",
    "नमस्ते दुनिया! 'परीक्षण'; या नहीं?",
    "สวัสดีชาวโลก 'ทดสอบ'; หรือไม่?",
    "Γεια σου κόσμε! 'δοκιμή'; ή όχι;",
    "🎉🎂 It's 5 o'clock; 🍻 & 🍕 > 🥗 👩‍👩‍👧‍👦",
];

const MARKUP: &[&str] = &[
    "# Title\n\n* one\n* two -- *really*\n\n```\nls -l | grep x; echo done\n```",
    "See [the docs](https://docs.example/a?b=c&d=e#f).",
    "| a | b |\n|---|---|\n| 1 | it's |",
    "![alt 'text'](../images/a.png)",
    "Use `cat file | sort` or `$(date)`; `id` says who.",
    "<user@example.com> wrote at <https://example.com/>",
    "a <- b -> c <-> d => e <= f >= g <> h",
    "Vec<Option<&'a str>>",
    "Map<String, List<Integer>> m = new HashMap<>();",
    "{{ name }} has {% if x %}y{% endif %} and ${total}",
    "**bold** _it_ ~~no~~ <kbd>Ctrl</kbd>+<kbd>C</kbd>",
    "&lt;b&gt; is how to write <b> in HTML, &amp; &#39; &quot;",
    "/* comment */ -- comment # comment // comment",
    "1. a\n2. b\n\n---\n\n> quoted; it's fine",
];

const SEARCHES: &[&str] = &[
    "\"exact phrase\" -excluded OR site:example.com",
    "title:(\"a b\" AND c) NOT d",
    "price:[10 TO 20] AND name:o'b*",
    "what's the difference between select and insert",
    "how to drop a table in sql",
    "or 1 and 2",
    "' vs \"",
    "c++ vs c#; java",
    "union select committee",
    "sleep(8) hours",
    "1=1",
    "select * from",
    "script tag html",
    "alert(1) meaning",
    "etc/passwd",
    "../",
    "what is /etc/passwd",
    "ping -c 4",
    "cat videos; dog videos",
    "file:///",
    "javascript: void",
    "rm -rf meaning",
    "x' or 'y",
    "rock 'n' roll or jazz",
    "it's 5 or 6",
    "a' b",
    "5' 11\"",
    "6'2 or 6'3",
    "'90s music",
    "rock '90s or '80s",
];

const VALUES: &[&str] = &[
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "TWFuIGlzIGRpc3Rpbmd1aXNoZWQ7Li4u==",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
    "7f3c1b2a-0d4e-4f6a-8b9c-0d1e2f3a4b5c",
    "#ff00aa",
    "https://example.com/a/../b?x=1&y='2'#z",
    "https://user:pw@example.com:8443/?q=a%20b",
    "//cdn.example.com/x.js",
    "http://[::1]:8080/",
    "/home/../a/b",
    "../images/a.png",
    "C:\\Users\\Bob\\Documents\\a (1).docx",
    "\\\\server\\share\\file.txt",
    "~/.config/app.toml",
    "2026-11-26T05:00:00+01:00",
    "-1.5,2.5,3,4",
    "+49 (0)30 123-456",
    "$1,234.50",
    "1e10",
    "0x1F",
    "0b1010",
    "-0",
    "NaN",
    "P@ssw0rd!'; --",
    "hunter2'--",
    "a'b\"c`d;e|f&g<h>i",
    "^[a-z]+('[a-z]+)?$",
    "\\d{3}-\\d{4}",
    "%d %s %05.2f",
    "{\"a\":[1,'b']}",
    "a=b&c=d",
    "a;b;c",
    "k1=v1;k2=v2",
    "SELECT",
    "null",
    "undefined",
    "true",
    "[]",
    "{}",
    "''",
    "\"\"",
    "--",
    "##",
    "/**/",
    "/*",
    ";",
    "name asc, created desc",
    "-created,name",
    "filter[state]=open",
    "id,name,(a,b)",
    "status eq 'open' and total gt 5",
    "$filter=contains(name,'o''brien')&$orderby=date desc",
    "a.b[0].c",
    "$.store.book[?(@.price<10)].title",
    "//book[price>35]/title",
    "{ user(id: \"1\") { name, friends(first: 10) { edges { node { name } } } } }",
    "mutation { createReview(input: {stars: 5, text: \"It's great; really -- 'wow'\"}) { review { id } } }",
    "query Q($id: ID!, $n: Int = 5) { node(id: $id) { ... on User { posts(first: $n, orderBy: {field: DATE, direction: DESC}) { id } } } }",
    "uid=bob,ou=people,dc=example,dc=com",
    "(&(objectClass=user)(cn=o'b*))",
    "text/html;q=0.8, */*",
    "attachment; filename=\"a;b.pdf\"",
    "max-age=0, private",
    "Mozilla/5.0 (X11; Linux x86_64; rv:130.0)",
    "W/\"abc'def\"",
    "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
];

const CODE: &[&str] = &[
    "fn main() { println!(\"{}\", 'a'); } // it's",
    "let x = if a < b && c > d { 'x' } else { 'y' };",
    "for (i = 0; i < n; i++) { a[i] = b || c; }",
    "def f(x): return x if x else None  # don't",
    "x = [a for a in b if a != 'c']; print(x)",
    "if ($a == 'b' || $c) { echo \"d\"; }",
    "SELECT is slow on my machine when I join more than 5 tables",
    "int *p = &a; *p++; printf(\"%s\\n\", p ? \"y\" : \"n\");",
    "git commit -m 'fix' && git push origin main",
    "docker run --rm -it -p 80:80 nginx",
    "npm install; npm run build | tee log",
    "a { color: red; } /* it's */ .b:hover > c { d: url('e') }",
    "x => x.map(y => `${y}`)",
    "^\\s*--",
    "while true; do date; sleep 5; done",
    "curl -s https://example.com | jq '.a'",
    "E = mc^2; a^2 + b^2 = c^2; f(x) = 2x' - 1",
    "rsync -av a/ b/; echo $?",
    "1..10 | % { $_ * 2 }",
];
