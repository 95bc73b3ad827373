//! The same expression for two engines: what means one thing in PCRE and another one here is written anew.
//!
//! All of it is about bytes. Left as it is, an expression might not compile, or worse, compile and match something else:
//! `\x{be}` would be a character, `\<` the beginning of a word, `[a[b]` a class within a class, `\v` one byte of four.

/// The expression as this engine reads it.
pub(super) fn translated(pattern: &[u8]) -> String {
    let mut translator =
        Translator { rest: pattern, out: String::with_capacity(pattern.len() + 16), class: Class::Outside };
    while let Some((&byte, rest)) = translator.rest.split_first() {
        translator.rest = rest;
        match translator.class {
            _ if byte == b'\\' => translator.escape(),
            Class::Outside => translator.outside(byte),
            Class::First | Class::Inside => translator.inside(byte),
        }
    }
    translator.out
}

struct Translator<'a> {
    rest: &'a [u8],
    out: String,
    class: Class,
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
        match byte {
            b'[' => {
                self.out.push('[');
                if self.rest.first() == Some(&b'^') {
                    self.skip(1);
                    self.out.push('^');
                }
                self.class = Class::First;
            }
            b'{' if !is_quantifier(self.rest) => self.out.push_str(r"\{"),
            _ => self.literal(byte),
        }
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
        if in_class {
            self.class = Class::Inside;
        }
        let Some(next) = self.take() else { return self.out.push_str(r"\\") };
        let (inside, outside) = match next {
            b'x' => return self.hexadecimal(),
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
        ] {
            assert_eq!(translated(pattern.as_bytes()), expected, "{pattern}");
        }
        assert_eq!(translated(b"\xc3\xa4[\xa0]"), r"\xc3\xa4[\xa0]");
    }
}
