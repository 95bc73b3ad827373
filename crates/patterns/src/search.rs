//! An expression that is asked very often, and seldom matches.
//!
//! Automata that are built as values come say whether a value matches, how far, and, read from behind, from where on. Only
//! for groups within a match there are slower engines, and they look at nothing but the match. None goes back and forth.

use std::ops::Range;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::nfa::thompson::backtrack::{self, BoundedBacktracker};
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::nfa::thompson::{Compiler, Config, NFA, WhichCaptures};
use regex_automata::util::iter::Searcher;
use regex_automata::util::pool::Pool;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, Match, MatchError, MatchKind};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;
use smallvec::{SmallVec, smallvec};

use super::SIZE_LIMIT;
use super::pcre::translated;

/// A compiled expression.
#[derive(Debug)]
pub struct Search {
    text: Box<str>,
    engines: Arc<Engines>,
    /// One for each thread that asks at the same time.
    rooms: Pool<Room, Box<dyn Fn() -> Room + Send + Sync + UnwindSafe + RefUnwindSafe>>,
}

/// Groups by number; the first one is the whole match.
pub type Groups = SmallVec<[Option<Range<usize>>; 4]>;

#[derive(Debug)]
struct Engines {
    /// Finds the end of the first match.
    automaton: DFA,
    /// Finds its beginning from there.
    backwards: DFA,
    short: BoundedBacktracker,
    long: PikeVM,
    groups: usize,
}

/// What an engine needs for its work.
#[derive(Debug)]
struct Room {
    automaton: dfa::Cache,
    backwards: Option<Box<dfa::Cache>>,
    short: Option<Box<backtrack::Cache>>,
    long: Option<Box<pikevm::Cache>>,
}

impl Search {
    /// Compiles the expression of `@rx`.
    pub fn compile(pattern: &[u8]) -> Result<Self, String> {
        let text = translated(pattern).map_err(super::explained)?;
        let parsed = ParserBuilder::new().unicode(false).utf8(false).dot_matches_new_line(true).build().parse(&text);
        let expression = parsed.map_err(|cause| super::explained(&cause.to_string()))?;
        let config = Config::new().utf8(false).nfa_size_limit(Some(SIZE_LIMIT)).which_captures(WhichCaptures::All);
        let program = Compiler::new().configure(config).build_from_hir(&expression);
        let program = program.map_err(|cause| super::explained(&cause.to_string()))?;
        let config = Config::new().utf8(false).nfa_size_limit(Some(SIZE_LIMIT)).reverse(true);
        let config = config.which_captures(WhichCaptures::None);
        let reversed = Compiler::new().configure(config).build_from_hir(&expression);
        let reversed = reversed.map_err(|cause| super::explained(&cause.to_string()))?;
        // One that only matches at the beginning has nothing to be looked for.
        let is_anchored = expression.properties().look_set_prefix().contains(Look::Start);
        let starts = Some(&expression).filter(|_| !is_anchored);
        let starts = starts.and_then(|expression| Prefilter::from_hir_prefix(MatchKind::LeftmostFirst, expression));
        // Looking for hundreds of beginnings takes longer than the automaton itself.
        let starts = starts.filter(Prefilter::is_fast);
        let engines = Arc::new(Engines::of(&program, &reversed, starts).map_err(|cause| super::explained(&cause))?);
        let shared = Arc::clone(&engines);
        Ok(Self { text: text.into(), engines, rooms: Pool::new(Box::new(move || shared.room())) })
    }

    /// The expression as this engine reads it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches anywhere in a value.
    pub fn is_match(&self, value: &[u8]) -> bool {
        let mut room = self.rooms.get();
        let found = self.engines.automaton.try_search_fwd(&mut room.automaton, &Input::new(value).earliest(true));
        match found {
            Ok(found) => found.is_some(),
            Err(_) => self.engines.long.is_match(room.long(&self.engines), value),
        }
    }

    /// The groups of so many matches, one after another.
    pub fn groups(&self, value: &[u8], matches: usize) -> Vec<Groups> {
        let mut room = self.rooms.get();
        let mut searcher = Searcher::new(Input::new(value));
        let mut all = Vec::new();
        while all.len() < matches {
            let mut groups = Groups::new();
            let next = searcher.advance(|input| {
                groups = self.engines.groups(&mut room, input)?;
                let whole = groups.first().cloned().flatten();
                Ok(whole.map(|whole| Match::must(0, whole)))
            });
            if next.is_none() {
                break;
            }
            all.push(groups);
        }
        all
    }
}

impl Engines {
    fn of(program: &NFA, reversed: &NFA, starts: Option<Prefilter>) -> Result<Self, String> {
        let config = dfa::Config::new()
            .cache_capacity(AUTOMATON)
            // However small the room: it makes way for what comes.
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(3))
            .minimum_bytes_per_state(Some(10));
        let forwards = config.clone().match_kind(MatchKind::LeftmostFirst).specialize_start_states(starts.is_some());
        let automaton = DFA::builder().configure(forwards.prefilter(starts)).build_from_nfa(program.clone());
        let config = config.match_kind(MatchKind::All);
        let backwards = DFA::builder().configure(config).build_from_nfa(reversed.clone());
        let config = backtrack::Config::new().visited_capacity(VISITED);
        let short = BoundedBacktracker::builder().configure(config).build_from_nfa(program.clone());
        let long = PikeVM::new_from_nfa(program.clone());
        Ok(Self {
            automaton: automaton.map_err(|cause| cause.to_string())?,
            backwards: backwards.map_err(|cause| cause.to_string())?,
            short: short.map_err(|cause| cause.to_string())?,
            long: long.map_err(|cause| cause.to_string())?,
            groups: program.group_info().all_group_len(),
        })
    }

    fn room(&self) -> Room {
        Room { automaton: self.automaton.create_cache(), backwards: None, short: None, long: None }
    }

    /// The groups of the first match; none if there is none.
    fn groups(&self, room: &mut Room, input: &Input<'_>) -> Result<Groups, MatchError> {
        let mut input = input.clone();
        match self.span(room, &input) {
            Ok(None) => return Ok(Groups::new()),
            Ok(Some(span)) if self.groups == 1 => return Ok(smallvec![Some(span)]),
            Ok(Some(span)) => {
                input.set_span(span);
                input.set_anchored(Anchored::Yes);
            }
            // There was not enough room to build the automata in.
            Err(_) => {}
        }
        let mut slots: SmallVec<[Option<NonMaxUsize>; 8]> = smallvec![None; self.groups * 2];
        if input.get_span().len() <= self.short.max_haystack_len() {
            let cache = room.short.get_or_insert_with(|| Box::new(self.short.create_cache()));
            self.short.try_search_slots(cache, &input, &mut slots)?;
        } else {
            self.long.search_slots(room.long(self), &input, &mut slots);
        }
        let ends = slots.as_chunks::<2>().0.iter();
        Ok(ends.map(|[start, end]| Some(start.as_ref()?.get()..end.as_ref()?.get())).collect())
    }
}

impl Engines {
    /// Where the first match is.
    fn span(&self, room: &mut Room, input: &Input<'_>) -> Result<Option<Range<usize>>, MatchError> {
        let Some(end) = self.automaton.try_search_fwd(&mut room.automaton, input)? else { return Ok(None) };
        let cache = room.backwards.get_or_insert_with(|| Box::new(self.backwards.create_cache()));
        let before = input.clone().span(input.start()..end.offset()).anchored(Anchored::Yes);
        let start = self.backwards.try_search_rev(cache, &before)?;
        // What matches forwards matches backwards.
        Ok(start.map(|start| start.offset()..end.offset()))
    }
}

impl Room {
    fn long(&mut self, engines: &Engines) -> &mut pikevm::Cache {
        self.long.get_or_insert_with(|| Box::new(engines.long.create_cache()))
    }
}

/// How much room the automaton of an expression has on each thread. Values of attackers would fill any.
const AUTOMATON: usize = 1 << 20;
/// How much room there is to find groups quickly.
const VISITED: usize = 64 * 1024;
