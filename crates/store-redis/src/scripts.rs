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
            draw: Script::new(DRAW),
            give_back: Script::new(RETURN),
            pay: Script::new(PAY),
            step: Script::new(STEP),
            step_back: Script::new(STEP_BACK),
        }
    }
}

/// Counts unless it would be too much: `{1, sum}` or `{0, sum}`. A server that forgot counts on from what the node knows.
const DRAW: &str = "
local sum = tonumber(redis.call('GET', KEYS[1]) or '0')
local cost, limit, known, ends = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
if sum < known then
  sum = known
  redis.call('SET', KEYS[1], string.format('%.0f', sum), 'EXAT', ends)
end
if sum + cost > limit then return {0, sum} end
redis.call('SET', KEYS[1], string.format('%.0f', sum + cost), 'EXAT', ends)
return {1, sum + cost}";

/// Takes a number off a count that is there.
const RETURN: &str = "
local sum = redis.call('GET', KEYS[1])
if sum then redis.call('SET', KEYS[1], string.format('%.0f', math.max(0, tonumber(sum) - tonumber(ARGV[1]))), 'KEEPTTL') end
return 0";

/// Adds what was granted without it.
const PAY: &str = "
local sum = tonumber(redis.call('GET', KEYS[1]) or '0')
sum = math.max(sum, tonumber(ARGV[2])) + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', math.max(0, sum)), 'EXAT', ARGV[3])
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
