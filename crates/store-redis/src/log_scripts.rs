//! The scripts of a shared log: one step each, so that a server that writes down what it does (AOF) has all of a step or nothing.
//!
//! The state is a hash: `last`, where the log ends; `base` and `pieces`, what it had before it was shortened; `pen`, whose turn
//! it is, and `until`, when that ends; `written`, how many bytes were ever written. Batches are a stream whose ids are places,
//! which the server itself keeps in order. Who reads beside those who write is in a hash of its own, a text each: the place,
//! records of the batch behind it, how many bytes had been written there, who reads, and until when.

use redis::Script;

/// All scripts, with their hashes.
pub(crate) struct Scripts {
    pub(crate) read: Script,
    pub(crate) take: Script,
    pub(crate) write: Script,
    pub(crate) pass: Script,
    pub(crate) rebase: Script,
    pub(crate) hold: Script,
    pub(crate) remember: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let of = |parts: &[&str]| Script::new(&parts.concat());
        Self {
            read: of(&[STATE, BEHIND, READ]),
            take: of(&[STATE, BEHIND, TAKE]),
            write: of(&[STATE, PASS_ON, WRITE]),
            pass: of(&[STATE, PASS_ON, PASS]),
            rebase: of(&[STATE, READERS, REBASE]),
            hold: of(&[STATE, READERS, HOLD]),
            remember: of(&[STATE, READERS, REMEMBER]),
        }
    }
}

/// What all of them look at. `ARGV[1]` is how much later it is than the clock says: nothing, but in tests.
const STATE: &str = "
local state, log, wanting = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[1])
local had = redis.call('HMGET', state, 'last', 'base', 'pen', 'until', 'pieces')
local last, base, pen, ends = had[1] or '0-0', had[2] or '0-0', had[3] or '', tonumber(had[4] or '0')
local function number(place) return tonumber(string.match(place, '^%d+')) end
";

/// What is behind a place: `{'known', last, base, id, batch, id, batch, ...}` or `{'gone', last}`.
const BEHIND: &str = "
local function behind(known)
  local found = {}
  if known == base then
    if known ~= last then found = redis.call('XRANGE', log, '(' .. known, '+', 'COUNT', 64) end
  elseif known ~= last then
    found = redis.call('XRANGE', log, known, '+', 'COUNT', 65)
    if not found[1] or found[1][1] ~= known then return {'gone', last} end
    table.remove(found, 1)
  end
  local told = {'known', last, base}
  for _, entry in ipairs(found) do
    told[#told + 1] = entry[1]
    told[#told + 1] = entry[2][2]
  end
  return told
end
";

/// `{place}`.
const READ: &str = "return behind(ARGV[2])";

/// `{place, who, lease}`: as `behind`, or `{'theirs'}`.
const TAKE: &str = "
local known, who, lease = ARGV[2], ARGV[3], tonumber(ARGV[4])
if pen ~= '' and pen ~= who and ends > now then
  redis.call('ZADD', wanting, 'NX', now, who)
  return {'theirs'}
end
redis.call('ZREM', wanting, who)
redis.call('HSET', state, 'pen', who, 'until', string.format('%.0f', now + lease))
return behind(known)";

/// Whose turn it is next: of those who asked of late, the first.
const PASS_ON: &str = "
local function pass_on(grace)
  redis.call('ZREMRANGEBYSCORE', wanting, '-inf', now - 5000)
  local next = redis.call('ZPOPMIN', wanting)[1] or ''
  redis.call('HSET', state, 'pen', next, 'until', string.format('%.0f', now + grace))
end
";

/// `{who, after, place, batch, then, lease, grace}`.
const WRITE: &str = "
local who, after, place, batch, keeps = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6] == 'keep'
local lease, grace = tonumber(ARGV[7]), tonumber(ARGV[8])
if last ~= place then
  if pen ~= who or last ~= after then return 'refused' end
  redis.call('XADD', log, place, 'b', batch)
  redis.call('HSET', state, 'last', place)
  redis.call('HINCRBY', state, 'written', string.len(batch))
end
if pen ~= who then return 'passed' end
if keeps and redis.call('ZCARD', wanting) == 0 then
  redis.call('HSET', state, 'until', string.format('%.0f', now + lease))
  return 'kept'
end
pass_on(grace)
return 'passed'";

/// `{who, grace}`.
const PASS: &str = "
if pen == ARGV[2] then pass_on(tonumber(ARGV[3])) end
return 'passed'";

/// Those who read beside those who write.
const READERS: &str = "
local readers = KEYS[5]
local written = tonumber(redis.call('HGET', state, 'written') or '0')
local function whole(count) return string.format('%.0f', count) end
local function reader_of(name)
  local kept = redis.call('HGET', readers, name)
  if not kept then return nil end
  local place, records, bytes, who, ends = string.match(kept, '^(%S+) (%d+) (%d+) (%S+) (%d+)$')
  return {place = place, records = records, bytes = tonumber(bytes), who = who, ends = tonumber(ends)}
end
local function keep(name, reader)
  local kept = {reader.place, reader.records, whole(reader.bytes), reader.who, whole(reader.ends)}
  redis.call('HSET', readers, name, table.concat(kept, ' '))
end
";

/// `{reader, who, lease}`: `{place, records}`, or nothing if somebody else reads.
///
/// If the server forgot what it had acknowledged, and a reader was told of that, the reader has what comes instead.
const HOLD: &str = "
local name, who, lease = ARGV[2], ARGV[3], tonumber(ARGV[4])
local reader = reader_of(name) or {place = last, records = '0', bytes = written, who = who, ends = 0}
if reader.who ~= who and reader.ends > now then return false end
reader.who, reader.ends = who, now + lease
if number(reader.place) > number(last) then
  reader.place, reader.records = last, '0'
elseif reader.place ~= last then
  local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  local is_among = first and number(first[1]) <= number(reader.place)
  if is_among and not redis.call('XRANGE', log, reader.place, reader.place)[1] then
    reader.place, reader.records = whole(number(first[1]) - 1) .. '-0', '0'
  end
end
keep(name, reader)
return {reader.place, reader.records}";

/// `{reader, who, place, records, bytes, lease}`.
const REMEMBER: &str = "
local name, who, place, records = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local reader = reader_of(name)
if not reader or reader.who ~= who then return 'elsewhere' end
reader.place, reader.records, reader.bytes = place, records, reader.bytes + tonumber(ARGV[6])
if place == last then reader.bytes = written end
reader.ends = now + tonumber(ARGV[7])
keep(name, reader)
return 'kept'";

/// `{place, pieces, most}`; pieces of the new base and of the old one are keys behind the others. What a reader has not read stays,
/// up to `most` bytes, unless nobody has read for it for an hour.
const REBASE: &str = "
local place, pieces, most = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if number(place) <= number(base) then return 'late' end
if place ~= last then
  local found = redis.call('XRANGE', log, place, place)
  if not found[1] then return 'strange' end
end
local prefix = string.sub(KEYS[4], 1, -2)
for piece = 0, pieces - 1 do
  if redis.call('PERSIST', prefix .. place .. ':' .. piece) == 0 then return 'incomplete' end
end
for piece = 0, tonumber(had[5] or '0') - 1 do
  redis.call('UNLINK', prefix .. base .. ':' .. piece)
end
redis.call('HSET', state, 'base', place, 'pieces', pieces)
local read = number(place)
for _, name in ipairs(redis.call('HKEYS', readers)) do
  local reader = reader_of(name)
  if reader.ends + 3600000 > now and written - reader.bytes <= most then read = math.min(read, number(reader.place)) end
end
redis.call('XTRIM', log, 'MINID', whole(read + 1) .. '-0')
return 'done'";
