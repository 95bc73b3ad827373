//! Benign requests, many of each kind and no two alike, the same ones in every run.

/// A request.
pub struct Request {
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// The kinds of requests, by their names.
pub const KINDS: &[(&str, fn(&mut Chance) -> Request)] = &[("get", get), ("form", form), ("json", json)];

/// So many requests of a kind.
pub fn several(make: fn(&mut Chance) -> Request, count: usize) -> Vec<Request> {
    let mut chance = Chance::new();
    (0..count).map(|_| make(&mut chance)).collect()
}

/// A row of numbers that looks like chance and is the same each time (xorshift).
pub struct Chance(u64);

impl Chance {
    pub fn new() -> Self {
        Self::seeded(0)
    }

    /// Another row for each seed.
    pub fn seeded(seed: u64) -> Self {
        Self(0x2545_F491_4F6C_DD1D ^ seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Another row than that of all others.
    pub fn begun(turn: u64) -> Self {
        let mut chance = Self::new();
        for _ in 0..turn * 7 {
            chance.below(2);
        }
        chance
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len() as u64) as usize]
    }

    fn words(&mut self, count: usize) -> String {
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    /// Text of what attacks are made of.
    pub fn odd(&mut self, length: usize) -> String {
        const PIECES: &[&str] = &[
            "'", "\"", "<a", "../", "%3c", "--", "/*", "*/", "(", ")", ";", "|", "$(", "or 1", "select", "\\x41", "{{",
            "=", " ",
        ];
        let mut text = String::with_capacity(length);
        while text.len() < length {
            text.push_str(PIECES[self.below(PIECES.len() as u64) as usize]);
        }
        text
    }

    pub fn token(&mut self, length: usize) -> String {
        const SIGNS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        (0..length).map(|_| char::from(SIGNS[self.below(36) as usize])).collect()
    }
}

fn browser(chance: &mut Chance) -> Vec<(&'static str, String)> {
    let version = 100 + chance.below(40);
    vec![
        ("Host", "shop.example.com".into()),
        (
            "User-Agent",
            format!(
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
            ),
        ),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8".into()),
        ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8".into()),
        ("Accept-Encoding", "gzip, deflate, br".into()),
        ("Referer", format!("https://shop.example.com/{}/{}", chance.word(), chance.word())),
        ("Connection", "keep-alive".into()),
        ("Upgrade-Insecure-Requests", "1".into()),
        ("Sec-Fetch-Dest", "document".into()),
        ("Sec-Fetch-Mode", "navigate".into()),
        ("Sec-Fetch-Site", "same-origin".into()),
        (
            "Cookie",
            format!("session={}; theme={}; cart={}", chance.token(32), chance.word(), 1000 + chance.below(100_000)),
        ),
    ]
}

fn get(chance: &mut Chance) -> Request {
    let target = format!(
        "/{}/{}?page={}&sort={}&q={}",
        chance.word(),
        chance.word(),
        chance.below(100),
        chance.word(),
        chance.words(3).replace(' ', "+")
    );
    Request { method: "GET", target, headers: browser(chance), body: Vec::new() }
}

/// About 3.4 KB in twenty fields.
fn form(chance: &mut Chance) -> Request {
    let fields: Vec<String> =
        (0..20).map(|field| format!("{}_{field}={}", chance.word(), chance.words(24).replace(' ', "+"))).collect();
    posted(chance, "application/x-www-form-urlencoded", fields.join("&").into_bytes())
}

/// About 10 KB in fifty items.
fn json(chance: &mut Chance) -> Request {
    let items: Vec<String> = (0..50)
        .map(|_| {
            format!(
                r#"{{"id":{},"name":"{}","description":"{}","price":{}.{:02},"in_stock":{},"sku":"{}"}}"#,
                chance.below(1_000_000),
                chance.words(3),
                chance.words(14),
                chance.below(1000),
                chance.below(100),
                chance.below(2) == 0,
                chance.token(10)
            )
        })
        .collect();
    posted(chance, "application/json", format!("{{\"items\":[{}]}}", items.join(",")).into_bytes())
}

/// A request with a body of a type.
pub fn posted(chance: &mut Chance, kind: &str, body: Vec<u8>) -> Request {
    let mut headers = browser(chance);
    headers.push(("Content-Type", kind.into()));
    headers.push(("Content-Length", body.len().to_string()));
    Request { method: "POST", target: format!("/api/{}", chance.word()), headers, body }
}

const WORDS: &[&str] = &[
    "about",
    "account",
    "again",
    "apple",
    "basket",
    "better",
    "blue",
    "bring",
    "called",
    "cheap",
    "children",
    "clean",
    "coffee",
    "colour",
    "country",
    "delivery",
    "different",
    "discount",
    "early",
    "evening",
    "family",
    "favourite",
    "first",
    "flowers",
    "forest",
    "garden",
    "gentle",
    "great",
    "green",
    "happy",
    "harbour",
    "history",
    "house",
    "important",
    "inside",
    "jacket",
    "kitchen",
    "language",
    "large",
    "leather",
    "letter",
    "little",
    "market",
    "matter",
    "modern",
    "morning",
    "mountain",
    "music",
    "natural",
    "never",
    "number",
    "office",
    "orange",
    "paper",
    "people",
    "picture",
    "place",
    "present",
    "question",
    "quiet",
    "reading",
    "ready",
    "river",
    "school",
    "season",
    "second",
    "service",
    "shirt",
    "shoes",
    "silver",
    "simple",
    "small",
    "something",
    "spring",
    "station",
    "story",
    "street",
    "summer",
    "table",
    "together",
    "travel",
    "under",
    "village",
    "warm",
    "water",
    "weather",
    "white",
    "window",
    "winter",
    "wonderful",
    "wooden",
    "writing",
    "yellow",
];
