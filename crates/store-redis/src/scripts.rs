//! The scripts. Each is one step on one key, so they work on a cluster of servers too.

use limits::{Draw, Terms, Window};
use redis::{Script, ScriptInvocation};

/// All scripts, with their hashes.
pub(crate) struct Scripts {
    draw: Script,
    give_back: Script,
    pay: Script,
    step: Script,
    step_back: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            draw: Script::new(&[READ, DRAW].concat()),
            give_back: Script::new(&[READ, RETURN].concat()),
            pay: Script::new(&[READ, PAY].concat()),
            step: Script::new(STEP),
            step_back: Script::new(STEP_BACK),
        }
    }
}

/// What a count is: all that was drawn and what of that was given back, `5` or `5 2`. The first never sinks while the server
/// remembers it, so that what a node knows tells a server that forgot from one where others gave something back.
const READ: &str = "
local function read()
  local drawn, back = string.match(redis.call('GET', KEYS[1]) or '0', '^(%d+) ?(%d*)$')
  return tonumber(drawn), tonumber(back) or 0
end
local function written(drawn, back)
  if back == 0 then return string.format('%.0f', drawn) end
  return string.format('%.0f %.0f', drawn, back)
end
";

/// Counts unless it would be too much: `{1, sum}` or `{0, sum}`. A server that forgot counts on from what the node knows.
const DRAW: &str = "
local drawn, back = read()
local cost, limit, known, ends = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local granted = 0
local lifted = math.max(drawn, known)
if lifted - back + cost <= limit then
  granted, lifted = 1, lifted + cost
end
if drawn < lifted then redis.call('SET', KEYS[1], written(lifted, back), 'EXAT', ends) end
return {granted, lifted - back}";

/// Takes a number off a count that is there.
const RETURN: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then
  local drawn, back = read()
  redis.call('SET', KEYS[1], written(drawn, math.min(drawn, back + tonumber(ARGV[1]))), 'KEEPTTL')
end
return 0";

/// Adds what was granted without it, or takes off what was given back.
const PAY: &str = "
local drawn, back = read()
local n = tonumber(ARGV[1])
drawn = math.max(drawn, tonumber(ARGV[2])) + math.max(0, n)
back = math.min(drawn, back + math.max(0, -n))
redis.call('SET', KEYS[1], written(drawn, back), 'EXAT', ARGV[3])
return 0";

/// The generic cell rate algorithm in sixteenths of a microsecond since 2026, so that a double holds them to the unit:
/// `{1, ahead, 0}` or `{0, ahead, wait}`.
const STEP: &str = "
local time = redis.call('TIME')
local now = ((tonumber(time[1]) - 1767225600) * 1000000 + tonumber(time[2])) * 16
local cost, reach = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local moved = tat + cost
if moved > now + reach then return {0, tat - now, moved - now - reach} end
redis.call('SET', KEYS[1], string.format('%.0f', moved), 'PX', math.ceil((moved - now) / 16000) + 1000)
return {1, moved - now, 0}";

/// Moves the arrival time back.
const STEP_BACK: &str = "
local tat = redis.call('GET', KEYS[1])
if tat then redis.call('SET', KEYS[1], string.format('%.0f', tonumber(tat) - tonumber(ARGV[1])), 'KEEPTTL') end
return 0";

/// Seconds for which a count is kept after its window: longer than clocks of nodes differ.
const KEPT: u64 = 3600;

impl Scripts {
    pub(crate) fn draw(&self, key: &str, draw: &Draw) -> ScriptInvocation<'_> {
        let mut invocation = self.draw.key(key);
        invocation.arg(draw.cost).arg(draw.limit).arg(draw.known).arg(ends(draw.window));
        invocation
    }

    pub(crate) fn give_back(&self, key: &str, n: u32) -> ScriptInvocation<'_> {
        let mut invocation = self.give_back.key(key);
        invocation.arg(n);
        invocation
    }

    /// `known` is what there was before.
    pub(crate) fn pay(&self, key: &str, n: i64, known: u64, window: Window) -> ScriptInvocation<'_> {
        let mut invocation = self.pay.key(key);
        invocation.arg(n).arg(known).arg(ends(window));
        invocation
    }

    pub(crate) fn step(&self, key: &str, cost: u32, terms: Terms) -> ScriptInvocation<'_> {
        let mut invocation = self.step.key(key);
        invocation.arg(terms.interval.saturating_mul(cost.into())).arg(terms.reach);
        invocation
    }

    pub(crate) fn step_back(&self, key: &str, returned: u64) -> ScriptInvocation<'_> {
        let mut invocation = self.step_back.key(key);
        invocation.arg(returned);
        invocation
    }
}

fn ends(window: Window) -> u64 {
    window.end.saturating_add(KEPT)
}
