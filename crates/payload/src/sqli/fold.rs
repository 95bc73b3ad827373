//! Folding: tokens that say the same are made one, until at most five are left.

use super::kind;
use super::token::{Token, Tokens};
use super::words::kind_of_both;

/// As many tokens as a fingerprint has.
pub(super) const MOST: usize = 5;

/// Tokens on their way to a fingerprint. One more than [`MOST`] is read where it says what the last one is.
pub(super) struct Folded<'a> {
    pub(super) tokens: Tokens<'a>,
    kept: [Token; MOST + 3],
    /// Where the next token goes.
    next: usize,
    /// How many tokens need no further look.
    done: usize,
    has_more: bool,
    last_comment: Option<Token>,
}

/// What a rule of folding did.
enum Rule {
    /// Nothing: the next one is asked.
    Rests,
    /// It changed something: everything is looked at again.
    Applies,
    /// What was found is beyond doubt; as many tokens are left.
    Ends(usize),
}

impl<'a> Folded<'a> {
    /// Folds all tokens, and says how many are left.
    pub(super) fn fold(tokens: Tokens<'a>) -> (Self, usize) {
        let kept = [Token::NONE; MOST + 3];
        let mut folded = Self { tokens, kept, next: 0, done: 0, has_more: true, last_comment: None };
        let left = folded.run();
        (folded, left)
    }

    /// One of the tokens that are left.
    pub(super) fn token(&self, place: usize) -> &Token {
        self.kept.get(place).unwrap_or(&NO_TOKEN)
    }

    pub(super) fn token_mut(&mut self, place: usize) -> Option<&mut Token> {
        self.kept.get_mut(place)
    }

    fn run(&mut self) -> usize {
        if !self.begin() {
            return 0;
        }
        loop {
            if self.next >= MOST {
                self.shorten();
            }
            if !self.has_more || self.done >= MOST {
                self.done = self.next;
                break;
            }
            self.read_up_to(2);
            if self.next - self.done < 2 {
                self.done = self.next;
                continue;
            }
            match self.fold_two() {
                Rule::Applies => continue,
                Rule::Ends(left) => return left,
                Rule::Rests => {}
            }
            self.read_up_to(3);
            if self.next - self.done < 3 {
                self.done = self.next;
                continue;
            }
            if let Rule::Applies = self.fold_three() {
                continue;
            }
            self.done += 1;
        }
        if self.done < MOST
            && let Some(comment) = self.last_comment
        {
            self.put(self.done, comment);
            self.done += 1;
        }
        self.done.min(MOST)
    }

    /// Passes over comments, parentheses, types and unary operators at the beginning; `false` if there is nothing else.
    fn begin(&mut self) -> bool {
        while let Some(token) = self.tokens.next() {
            let is_passed =
                matches!(token.kind, kind::COMMENT | kind::LEFT_PARENTHESIS | kind::TYPE) || token.is_unary();
            if !is_passed {
                self.put(0, token);
                self.next = 1;
                return true;
            }
        }
        false
    }

    /// Reads until so many tokens are there to look at; comments are not counted, and the last one is kept.
    fn read_up_to(&mut self, wanted: usize) {
        while self.has_more && self.next <= MOST && self.next - self.done < wanted {
            match self.tokens.next() {
                None => self.has_more = false,
                Some(token) if token.kind == kind::COMMENT => self.last_comment = Some(token),
                Some(token) => {
                    self.last_comment = None;
                    self.put(self.next, token);
                    self.next += 1;
                }
            }
        }
    }

    /// Five tokens that amount to one.
    fn shorten(&mut self) {
        use kind::{BAREWORD, COMMA, LEFT_PARENTHESIS, NUMBER, OPERATOR, RIGHT_PARENTHESIS};
        let kinds = [0, 1, 2, 3, 4].map(|place| self.kind(place));
        let amounts_to_one = matches!(
            kinds,
            [NUMBER, OPERATOR | COMMA, LEFT_PARENTHESIS, NUMBER, RIGHT_PARENTHESIS]
                | [BAREWORD, OPERATOR, LEFT_PARENTHESIS, BAREWORD | NUMBER, RIGHT_PARENTHESIS]
                | [NUMBER, RIGHT_PARENTHESIS, COMMA, LEFT_PARENTHESIS, NUMBER]
                | [BAREWORD, RIGHT_PARENTHESIS, OPERATOR, LEFT_PARENTHESIS, BAREWORD]
        );
        if !amounts_to_one {
            return;
        }
        self.done = 0;
        if self.next > MOST {
            self.copy(MOST, 1);
            self.next = 2;
        } else {
            self.next = 1;
        }
    }

    fn fold_two(&mut self) -> Rule {
        let left = self.done;
        let (one, two) = (self.kind(left), self.kind(left + 1));
        match (one, two) {
            (kind::STRING, kind::STRING) | (kind::SEMICOLON, kind::SEMICOLON) => self.drop(1),
            (kind::OPERATOR | kind::LOGIC, kind::TYPE) => self.drop_and_restart(1),
            (kind::OPERATOR | kind::LOGIC, _) if self.token(left + 1).is_unary() => self.drop_and_restart(1),
            (kind::LEFT_PARENTHESIS, _) if self.token(left + 1).is_unary() => self.drop_and_step_back(),
            _ if self.merge_words() => self.drop_and_step_back(),
            _ => self.fold_pair(one, two),
        }
    }

    /// Two tokens that are neither alike nor a phrase.
    fn fold_pair(&mut self, one: u8, two: u8) -> Rule {
        let left = self.done;
        match (one, two) {
            (kind::SEMICOLON, kind::FUNCTION) if self.begins_with_if(left + 1) => self.turn(left + 1, kind::TRANSACT),
            (kind::BAREWORD | kind::VARIABLE, kind::LEFT_PARENTHESIS) if self.is_one_of(left, CALLED) => {
                self.turn(left, kind::FUNCTION)
            }
            (kind::KEYWORD, _) if self.is_one_of(left, &[b"IN", b"NOT IN"]) => {
                let is_operator = two == kind::LEFT_PARENTHESIS;
                self.turn(left, if is_operator { kind::OPERATOR } else { kind::BAREWORD })
            }
            (kind::OPERATOR, _) if self.is_one_of(left, &[b"LIKE", b"NOT LIKE"]) => {
                if two == kind::LEFT_PARENTHESIS {
                    self.set_kind(left, kind::FUNCTION);
                }
                Rule::Rests
            }
            (
                kind::TYPE,
                kind::BAREWORD
                | kind::NUMBER
                | kind::TYPE
                | kind::LEFT_PARENTHESIS
                | kind::FUNCTION
                | kind::VARIABLE
                | kind::STRING,
            ) => {
                self.copy(left + 1, left);
                self.drop_and_restart(1)
            }
            (kind::COLLATE, kind::BAREWORD) => {
                let name = self.token(left + 1).text();
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                if name.contains(&b'_') {
                    self.set_kind(left + 1, kind::TYPE);
                    self.done = 0;
                }
                Rule::Rests
            }
            (kind::BACKSLASH, _) => self.fold_backslash(),
            (kind::LEFT_PARENTHESIS, kind::LEFT_PARENTHESIS) | (kind::RIGHT_PARENTHESIS, kind::RIGHT_PARENTHESIS) => {
                self.drop_and_restart(1)
            }
            (kind::LEFT_BRACE, kind::BAREWORD) => {
                if self.token(left + 1).text().is_empty() {
                    self.set_kind(left + 1, kind::EVIL);
                    return Rule::Ends(left + 2);
                }
                self.drop_and_restart(2)
            }
            (_, kind::RIGHT_BRACE) => self.drop_and_restart(1),
            _ => Rule::Rests,
        }
    }

    fn fold_backslash(&mut self) -> Rule {
        let left = self.done;
        if self.token(left + 1).is_arithmetic() {
            self.done = 0;
            return self.turn(left, kind::NUMBER);
        }
        self.copy(left + 1, left);
        self.drop_and_restart(1)
    }

    fn fold_three(&mut self) -> Rule {
        use kind::{
            BAREWORD, COMMA, DOT, EXPRESSION, FUNCTION, GROUP, KEYWORD, LEFT_PARENTHESIS, LOGIC, NUMBER, OPERATOR,
        };
        use kind::{RIGHT_PARENTHESIS, STRING, TYPE, VARIABLE};
        let left = self.done;
        let kinds = [self.kind(left), self.kind(left + 1), self.kind(left + 2)];
        match kinds {
            [LOGIC, _, LOGIC]
            | [VARIABLE, OPERATOR, VARIABLE | NUMBER | BAREWORD]
            | [BAREWORD | NUMBER, OPERATOR, NUMBER | BAREWORD]
            | [BAREWORD, DOT, BAREWORD]
            | [BAREWORD | NUMBER | STRING | VARIABLE, COMMA, NUMBER | BAREWORD | STRING | VARIABLE] => {
                self.drop_and_restart(2)
            }
            [OPERATOR, middle, OPERATOR] if middle != LEFT_PARENTHESIS => self.drop_and_restart(2),
            [BAREWORD | NUMBER | VARIABLE | STRING, OPERATOR, TYPE] if self.token(left + 1).text() == b"::" => {
                self.drop_and_restart(2)
            }
            [EXPRESSION | GROUP | COMMA, _, LEFT_PARENTHESIS]
            | [KEYWORD | EXPRESSION | GROUP, _, NUMBER | BAREWORD | VARIABLE | STRING | FUNCTION]
            | [COMMA, _, FUNCTION]
                if self.token(left + 1).is_unary() =>
            {
                self.drop_middle()
            }
            [COMMA, _, NUMBER | BAREWORD | VARIABLE | STRING] if self.token(left + 1).is_unary() => {
                self.copy(left + 2, left + 1);
                self.drop_and_restart(3)
            }
            [EXPRESSION, DOT, BAREWORD] => self.drop_middle(),
            [FUNCTION, LEFT_PARENTHESIS, last] if last != RIGHT_PARENTHESIS && self.token(left).is(b"USER") => {
                self.set_kind(left, BAREWORD);
                Rule::Rests
            }
            _ => Rule::Rests,
        }
    }

    /// Two words that make one, such as `UNION ALL`.
    fn merge_words(&mut self) -> bool {
        let (one, two) = (self.token(self.done), self.token(self.done + 1));
        if !may_begin_phrase(one.kind) || !(may_begin_phrase(two.kind) || two.kind == kind::LOGIC) {
            return false;
        }
        let merged = kind_of_both(one.text(), two.text());
        if merged == kind::NONE {
            return false;
        }
        let (one, two) = (*one, *two);
        if let Some(token) = self.kept.get_mut(self.done) {
            token.set(merged, one.text(), two.text());
        }
        true
    }

    fn kind(&self, place: usize) -> u8 {
        self.token(place).kind
    }

    fn is_one_of(&self, place: usize, words: &[&[u8]]) -> bool {
        words.iter().any(|word| self.token(place).is(word))
    }

    fn begins_with_if(&self, place: usize) -> bool {
        matches!(self.token(place).text(), [b'I' | b'i', b'F' | b'f', ..])
    }

    fn put(&mut self, place: usize, token: Token) {
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = token;
        }
    }

    fn copy(&mut self, from: usize, to: usize) {
        self.put(to, *self.token(from));
    }

    fn set_kind(&mut self, place: usize, kind: u8) {
        if let Some(token) = self.kept.get_mut(place) {
            token.kind = kind;
        }
    }

    fn turn(&mut self, place: usize, kind: u8) -> Rule {
        self.set_kind(place, kind);
        Rule::Applies
    }

    fn drop(&mut self, count: usize) -> Rule {
        self.next = self.next.saturating_sub(count);
        Rule::Applies
    }

    fn drop_and_restart(&mut self, count: usize) -> Rule {
        self.done = 0;
        self.drop(count)
    }

    fn drop_and_step_back(&mut self) -> Rule {
        self.done = self.done.saturating_sub(1);
        self.drop(1)
    }

    fn drop_middle(&mut self) -> Rule {
        self.copy(self.done + 2, self.done + 1);
        self.drop_and_restart(1)
    }
}

fn may_begin_phrase(kind: u8) -> bool {
    matches!(
        kind,
        kind::KEYWORD
            | kind::BAREWORD
            | kind::OPERATOR
            | kind::UNION
            | kind::FUNCTION
            | kind::EXPRESSION
            | kind::TRANSACT
            | kind::TYPE
    )
}

static NO_TOKEN: Token = Token::NONE;

/// Words that are functions where a parenthesis follows, and names otherwise.
const CALLED: &[&[u8]] = &[
    b"USER_ID",
    b"USER_NAME",
    b"DATABASE",
    b"PASSWORD",
    b"USER",
    b"CURRENT_USER",
    b"CURRENT_DATE",
    b"CURRENT_TIME",
    b"CURRENT_TIMESTAMP",
    b"LOCALTIME",
    b"LOCALTIMESTAMP",
];
