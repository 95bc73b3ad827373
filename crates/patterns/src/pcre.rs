//! The same expression for two engines: what means one thing in PCRE and another one here is written anew.
//!
//! All of it is about bytes. Left as it is, an expression might not compile, or worse, compile and match something else:
//! `\x{be}` would be a character, `\<` the beginning of a word, `[a[b]` a class within a class, `\v` one byte of four.

/// The expression as this engine reads it, or what of it no engine does in linear time.
pub(super) fn translated(pattern: &[u8]) -> Result<String, &'static str> {
    let translator = translate(pattern);
    translator.refused.map_or(Ok(translator.out), Err)
}

/// Whether an expression keeps what it matched once, such as `a++` or `(?>a+)`. Here it is given back where the rest asks for
/// it: what PCRE matches is matched, and sometimes more.
pub fn keeps_what_it_matched(pattern: &[u8]) -> bool {
    translate(pattern).is_relaxed
}

fn translate(pattern: &[u8]) -> Translator<'_> {
    let out = String::with_capacity(pattern.len() + 16);
    let mut translator =
        Translator { rest: pattern, out, class: Class::Outside, is_repeated: false, is_relaxed: false, refused: None };
    while let Some((&byte, rest)) = translator.rest.split_first() {
        translator.rest = rest;
        match translator.class {
            _ if byte == b'\\' => translator.escape(),
            Class::Outside => translator.outside(byte),
            Class::First | Class::Inside => translator.inside(byte),
        }
    }
    translator
}

struct Translator<'a> {
    rest: &'a [u8],
    out: String,
    class: Class,
    /// Whether what stands before says how often.
    is_repeated: bool,
    is_relaxed: bool,
    /// What cannot be done.
    refused: Option<&'static str>,
}

/// Where in brackets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Outside,
    /// Behind the opening one, where a closing one means itself.
    First,
    Inside,
}

impl Translator<'_> {
    fn outside(&mut self, byte: u8) {
        let is_repeated = std::mem::take(&mut self.is_repeated);
        match byte {
            b'(' => self.group(),
            b'+' if is_repeated => self.is_relaxed = true,
            b'?' if is_repeated => self.out.push('?'),
            b'*' | b'+' | b'?' => {
                self.out.push(char::from(byte));
                self.is_repeated = true;
            }
            b'{' if is_quantifier(self.rest) => {
                self.out.push('{');
                while let Some(byte) = self.take() {
                    self.out.push(char::from(byte));
                    if byte == b'}' {
                        break;
                    }
                }
                self.is_repeated = true;
            }
            b'[' => {
                self.out.push('[');
                if self.rest.first() == Some(&b'^') {
                    self.skip(1);
                    self.out.push('^');
                }
                self.class = Class::First;
            }
            b'{' => self.out.push_str(r"\{"),
            _ => self.literal(byte),
        }
    }

    /// What begins with a parenthesis.
    fn group(&mut self) {
        if self.rest.first() == Some(&b'*') {
            self.refused = Some(VERBS);
        }
        let Some(after) = self.rest.strip_prefix(b"?") else { return self.out.push('(') };
        match after {
            [b'#', comment @ ..] => {
                let end = comment.iter().position(|byte| *byte == b')').map_or(comment.len(), |end| end + 1);
                return self.skip(2 + end);
            }
            [b'>', ..] => {
                self.is_relaxed = true;
                self.skip(2);
                return self.out.push_str("(?:");
            }
            [b'|', ..] => self.refused = Some(BRANCHES),
            [b'(', ..] => self.refused = Some(CONDITIONS),
            [b'R' | b'&' | b'0'..=b'9', ..] | [b'+' | b'-', b'0'..=b'9', ..] | [b'P', b'>', ..] => {
                self.refused = Some(RECURSION);
            }
            _ => {}
        }
        self.skip(1);
        self.out.push_str("(?");
    }

    /// `\Q...\E`, in which everything means itself.
    fn quotation(&mut self) {
        let end = self.rest.windows(2).position(|window| window == br"\E");
        let quoted = self.rest.get(..end.unwrap_or(self.rest.len())).unwrap_or_default();
        for byte in quoted {
            self.byte(*byte);
        }
        self.skip(quoted.len() + 2 * usize::from(end.is_some()));
    }

    fn inside(&mut self, byte: u8) {
        let first = std::mem::replace(&mut self.class, Class::Inside) == Class::First;
        match byte {
            b']' if first => self.out.push_str(r"\]"),
            b']' => {
                self.out.push(']');
                self.class = Class::Outside;
            }
            b'[' => match named_class(self.rest) {
                Some(length) => {
                    self.out.push('[');
                    for _ in 0..length {
                        let byte = self.take().unwrap_or_default();
                        self.out.push(char::from(byte));
                    }
                }
                None => self.out.push_str(r"\["),
            },
            b'&' | b'~' => self.out.extend(['\\', char::from(byte)]),
            b'-' if self.rest.first() == Some(&b'-') => {
                self.skip(1);
                self.out.push_str(r"-\-");
            }
            _ => self.literal(byte),
        }
    }

    fn escape(&mut self) {
        let in_class = self.class != Class::Outside;
        self.is_repeated = false;
        if in_class {
            self.class = Class::Inside;
        }
        let Some(next) = self.take() else { return self.out.push_str(r"\\") };
        let (inside, outside) = match next {
            b'x' => return self.hexadecimal(),
            b'Q' => return self.quotation(),
            b'E' => return,
            b'K' | b'G' if !in_class => {
                self.refused = Some(PLACES);
                return;
            }
            b'Z' if !in_class => return self.out.push_str(r"(?:\n?\z)"),
            b'0'..=b'7' if in_class || next == b'0' => return self.octal(next),
            b'c' => {
                let letter = self.take().unwrap_or_default().to_ascii_uppercase();
                return self.byte(letter ^ 0x40);
            }
            b'e' => return self.byte(0x1b),
            b'b' if in_class => return self.byte(0x08),
            b'<' | b'>' => return self.byte(next),
            b'h' => (r"\t \xa0", r"[\t \xa0]"),
            b'v' => (r"\n-\r\x85", r"[\n-\r\x85]"),
            b'H' => (r"[^\t \xa0]", r"[^\t \xa0]"),
            b'V' => (r"[^\n-\r\x85]", r"[^\n-\r\x85]"),
            b'R' => (r"\R", r"(?:\r\n|[\n-\r\x85])"),
            b'N' => (r"\N", r"[^\n]"),
            _ if next.is_ascii() => {
                self.out.extend(['\\', char::from(next)]);
                return;
            }
            _ => return self.byte(next),
        };
        self.out.push_str(if in_class { inside } else { outside });
    }

    /// `\xH`, `\xHH`, and `\x{HH}`.
    fn hexadecimal(&mut self) {
        let braced = self.rest.first() == Some(&b'{');
        let digits = self.rest.get(usize::from(braced)..).unwrap_or_default();
        let most = if braced { digits.len() } else { 2 };
        let count = digits.iter().take(most).take_while(|digit| digit.is_ascii_hexdigit()).count();
        let text = digits.get(..count).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default();
        let closed = !braced || digits.get(count) == Some(&b'}');
        match u8::from_str_radix(if text.is_empty() { "0" } else { text }, 16) {
            Ok(value) if closed => {
                self.skip(count + 2 * usize::from(braced));
                self.byte(value);
            }
            _ => self.out.push_str(r"\x"),
        }
    }

    fn octal(&mut self, first: u8) {
        let mut value = first - b'0';
        for _ in 0..2 {
            match self.rest.first() {
                Some(digit @ b'0'..=b'7') => value = value.wrapping_mul(8).wrapping_add(digit - b'0'),
                _ => break,
            }
            self.skip(1);
        }
        self.byte(value);
    }

    fn literal(&mut self, byte: u8) {
        if byte.is_ascii() {
            self.out.push(char::from(byte));
        } else {
            self.byte(byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        self.out.push_str(r"\x");
        for digit in [byte >> 4, byte & 15] {
            self.out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }

    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

/// Whether what follows `{` makes it say how often; otherwise it means itself.
fn is_quantifier(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().position(|byte| *byte == b'}') else { return false };
    let inner = rest.get(..end).unwrap_or_default();
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    match inner.iter().position(|byte| *byte == b',') {
        None => is_number(inner),
        Some(comma) => {
            let most = inner.get(comma + 1..).unwrap_or_default();
            is_number(inner.get(..comma).unwrap_or_default()) && (most.is_empty() || is_number(most))
        }
    }
}

/// How long the rest of `[:name:]` is.
fn named_class(rest: &[u8]) -> Option<usize> {
    let name = rest.strip_prefix(b":")?;
    let letters = name.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'^').count();
    name.get(letters..)?.starts_with(b":]").then_some(letters + 3)
}

// What no engine does in linear time.
const VERBS: &str = "verbs such as (*SKIP) are not supported";
const BRANCHES: &str = "groups of one number, (?|...), are not supported";
const CONDITIONS: &str = "conditions, (?(1)...), are not supported";
const RECURSION: &str = "calls of groups, such as (?R) and (?1), are not supported";
const PLACES: &str = "\\K and \\G are not supported";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_else_here_is_written_anew() {
        for (pattern, expected) in [
            (r"a{2,3}{x", r"a{2,3}\{x"),
            (r"\s+{", r"\s+\{"),
            (r"{,3}", r"\{,3}"),
            (r"[a[b]", r"[a\[b]"),
            (r"[]a]", r"[\]a]"),
            (r"[^]a]", r"[^\]a]"),
            (r"[[:alpha:]&&]", r"[[:alpha:]\&\&]"),
            (r"[a--]", r"[a-\-]"),
            (r"\<[\<\!]", r"\x3c[\x3c\!]"),
            (r"\x{be}\x9\e", r"\xbe\x09\x1b"),
            (r"[\b\1]\0", r"[\x08\x01]\x00"),
            (r"\h[\v]", r"[\t \xa0][\n-\r\x85]"),
            (r"a\Z", r"a(?:\n?\z)"),
            (r"a\Q.*\Eb\Q(", r"a\x2e\x2ab\x28"),
            (r"a(?#no)b", r"ab"),
            (r"a{1,2}?(?:b)??\++", r"a{1,2}?(?:b)??\++"),
        ] {
            assert_eq!(translated(pattern.as_bytes()).unwrap(), expected, "{pattern}");
            assert!(!keeps_what_it_matched(pattern.as_bytes()), "{pattern}");
        }
        assert_eq!(translated(b"\xc3\xa4[\xa0]").unwrap(), r"\xc3\xa4[\xa0]");
    }

    #[test]
    fn what_would_be_kept_is_given_back() {
        for (pattern, expected) in
            [(r"a++b*+c?+[d]{2}+", "a+b*c?[d]{2}"), ("(?>a+)b", "(?:a+)b"), (r"(?:x\s*+;)+", r"(?:x\s*;)+")]
        {
            assert_eq!(translated(pattern.as_bytes()).unwrap(), expected, "{pattern}");
            assert!(keeps_what_it_matched(pattern.as_bytes()), "{pattern}");
        }
    }

    #[test]
    fn what_no_engine_does_in_linear_time_is_refused() {
        for pattern in [r"a\Kb", r"\Ga", "(?|a|b)", "(a)(?(1)b|c)", "(?R)", "(a)(?1)", "(?P>x)", "(?&x)", "(*SKIP)a"] {
            assert!(translated(pattern.as_bytes()).is_err(), "{pattern}");
        }
        assert!(translated(br"(?-i)a[\K]").is_ok());
    }
}
