//! The scripts of leases.

use redis::Script;

/// All scripts, with their hashes.
pub(crate) struct Scripts {
    pub(crate) take: Script,
    pub(crate) open: Script,
    pub(crate) renew: Script,
    pub(crate) release: Script,
    pub(crate) end: Script,
    pub(crate) find: Script,
    pub(crate) list: Script,
    pub(crate) count: Script,
    pub(crate) claim: Script,
    pub(crate) closed: Script,
    pub(crate) retry: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let script = |step: &str| Script::new(&[COMMON, step].concat());
        Self {
            take: script(TAKE),
            open: script(OPEN),
            renew: script(RENEW),
            release: script(RELEASE),
            end: script(END),
            find: script(FIND),
            list: script(LIST),
            count: script(COUNT),
            claim: script(CLAIM),
            closed: script(CLOSED),
            retry: script(RETRY),
        }
    }
}

/// What all steps begin with: the time, what is over ends, and words for what is done to a lease.
///
/// `count:GROUP` has those that count, `current:GROUP` and `closed:GROUP` those that are listed, each by the time it was
/// taken; `ends` those that are held, `due` those to be closed, `kept` those that were, each by when that is.
const COMMON: &str = "
local base = KEYS[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(ARGV[1])
local function text(number) return string.format('%.0f', number) end
local function key(id) return base .. ':lease:' .. id end
local function get(id, field) return redis.call('HGET', key(id), field) end
local function each_group(id, work)
  local opened = get(id, 'opened')
  for _, group in ipairs(cjson.decode(get(id, 'groups'))) do work(group, opened) end
end
local function count(id)
  each_group(id, function(group, opened) redis.call('ZADD', base .. ':count:' .. group, opened, id) end)
end
local function uncount(id)
  each_group(id, function(group) redis.call('ZREM', base .. ':count:' .. group, id) end)
end
local function list(id, which)
  each_group(id, function(group, opened) redis.call('ZADD', base .. ':' .. which .. ':' .. group, opened, id) end)
end
local function unlist(id, which)
  each_group(id, function(group) redis.call('ZREM', base .. ':' .. which .. ':' .. group, id) end)
end
local function each_replaced(id, work)
  for _, other in ipairs(cjson.decode(get(id, 'replaces'))) do
    if get(other, 'replaced_by') == id then work(other) end
  end
end
local function give_back(id)
  each_replaced(id, function(other)
    redis.call('HDEL', key(other), 'replaced_by')
    count(other)
  end)
end
local function forget(id)
  give_back(id)
  uncount(id)
  unlist(id, 'current')
  unlist(id, 'closed')
  for _, set in ipairs({':ends', ':due', ':kept'}) do redis.call('ZREM', base .. set, id) end
  redis.call('DEL', key(id))
end
local function finish(id, why)
  if get(id, 'state') ~= 'open' or get(id, 'ending') == 'forget' then
    forget(id)
    return false
  end
  redis.call('HSET', key(id), 'state', 'closing', 'ended', text(now), 'why', why, 'due', text(now))
  redis.call('ZREM', base .. ':ends', id)
  redis.call('ZADD', base .. ':due', text(now), id)
  return true
end
local function lease(id)
  local found = redis.call('HMGET', key(id), 'state', 'ending', 'opened', 'renewed', 'ends', 'latest', 'due', 'attempts',
    'about', 'note', 'ended', 'why', 'body')
  if not found[1] then return false end
  table.insert(found, 1, id)
  return found
end
local function claimed(id, how_long)
  local due = text(now + tonumber(how_long))
  redis.call('HINCRBY', key(id), 'attempts', 1)
  redis.call('HSET', key(id), 'due', due)
  redis.call('ZADD', base .. ':due', due, id)
end
local function hold(id)
  local ends = math.min(now + tonumber(get(id, 'ttl')), tonumber(get(id, 'latest')))
  redis.call('HSET', key(id), 'renewed', text(now), 'ends', text(ends))
  redis.call('ZADD', base .. ':ends', text(ends), id)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. ':ends', '-inf', text(now))) do
  local why = 'idle'
  if get(id, 'ends') == get(id, 'latest') then why = 'life' end
  finish(id, why)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. ':kept', '-inf', text(now))) do forget(id) end
";

/// `{group}` that is full, or `{false, ousted}`. Who gives a place away is settled before anything changes.
const TAKE: &str = "
local id, ttl, life, about, claim = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]
if redis.call('EXISTS', key(id)) == 1 then return {false, {}} end
local groups, giving, gives = {}, {}, {}
for place = 7, #ARGV, 2 do
  local group, most = ARGV[place], tonumber(ARGV[place + 1])
  table.insert(groups, group)
  local set = base .. ':count:' .. group
  if most and redis.call('ZCARD', set) >= most then
    if claim == '' then return {group, {}} end
    local members = redis.call('ZRANGE', set, 0, -1)
    local left, at = #members, 1
    for _, member in ipairs(members) do
      if gives[member] then left = left - 1 end
    end
    while left >= most do
      while at <= #members and (gives[members[at]] or get(members[at], 'state') ~= 'open') do at = at + 1 end
      if at > #members then return {group, {}} end
      gives[members[at]] = true
      table.insert(giving, members[at])
      left = left - 1
    end
  end
end
local ousted, replaces = {}, {}
for _, other in ipairs(giving) do
  local before = lease(other)
  if finish(other, 'ousted') then
    claimed(other, claim)
    redis.call('HSET', key(other), 'replaced_by', id)
    uncount(other)
    table.insert(replaces, other)
    before = lease(other)
  end
  table.insert(ousted, before)
end
local replaced = '[]'
if #replaces > 0 then replaced = cjson.encode(replaces) end
redis.call('HSET', key(id), 'state', 'opening', 'ending', 'forget', 'opened', text(now), 'latest', text(now + life),
  'ttl', text(ttl), 'about', about, 'body', '', 'ended', '', 'why', '', 'attempts', '0', 'due', text(now), 'note', '',
  'groups', cjson.encode(groups), 'replaces', replaced)
hold(id)
count(id)
list(id, 'current')
return {false, ousted}";

const OPEN: &str = "
local taken, id = ARGV[2], ARGV[3]
if get(taken, 'state') ~= 'opening' then return 0 end
if taken ~= id then
  if redis.call('EXISTS', key(id)) == 1 then forget(id) end
  uncount(taken)
  unlist(taken, 'current')
  redis.call('ZREM', base .. ':ends', taken)
  each_replaced(taken, function(other) redis.call('HSET', key(other), 'replaced_by', id) end)
  redis.call('RENAME', key(taken), key(id))
  count(id)
  list(id, 'current')
end
redis.call('HSET', key(id), 'state', 'open', 'ending', ARGV[4], 'about', ARGV[5], 'body', ARGV[6])
hold(id)
return 1";

/// Those that are not open.
const RENEW: &str = "
local gone = {}
for place = 2, #ARGV do
  local id = ARGV[place]
  if get(id, 'state') == 'open' then hold(id) else table.insert(gone, id) end
end
return gone";

const RELEASE: &str = "
local id = ARGV[2]
local state = get(id, 'state')
if state ~= 'opening' and state ~= 'open' then return 0 end
forget(id)
return 1";

const END: &str = "
local id = ARGV[2]
local state = get(id, 'state')
if state == 'open' then
  local before = lease(id)
  if finish(id, 'asked') then return lease(id) end
  return before
end
if state ~= 'closing' then return false end
redis.call('HSET', key(id), 'due', text(now))
redis.call('ZADD', base .. ':due', text(now), id)
return lease(id)";

const FIND: &str = "return lease(ARGV[2])";

/// Those of one time come by their id, as sorted sets have them.
const LIST: &str = "
local set, opened, after, limit = base .. ':' .. ARGV[3] .. ':' .. ARGV[2], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local found = {}
local ids = redis.call('ZRANGEBYSCORE', set, ARGV[4], '+inf', 'LIMIT', 0, limit + 100)
for _, id in ipairs(ids) do
  if #found == limit then break end
  if tonumber(get(id, 'opened')) > opened or id > after then table.insert(found, lease(id)) end
end
return found";

const COUNT: &str = "return redis.call('ZCARD', base .. ':count:' .. ARGV[2])";

const CLAIM: &str = "
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. ':due', '-inf', text(now), 'LIMIT', 0, ARGV[2])) do
  claimed(id, ARGV[3])
  table.insert(found, lease(id))
end
return found";

const CLOSED: &str = "
local id = ARGV[2]
if get(id, 'state') ~= 'closing' or get(id, 'attempts') ~= ARGV[3] then return 0 end
local due = text(now + tonumber(ARGV[5]))
uncount(id)
unlist(id, 'current')
list(id, 'closed')
redis.call('HSET', key(id), 'state', 'closed', 'note', ARGV[4], 'due', due, 'body', '')
redis.call('HDEL', key(id), 'replaced_by')
give_back(id)
redis.call('ZREM', base .. ':due', id)
redis.call('ZADD', base .. ':kept', due, id)
return 1";

const RETRY: &str = "
local id = ARGV[2]
if get(id, 'state') ~= 'closing' or get(id, 'attempts') ~= ARGV[3] then return 0 end
local due = text(now + tonumber(ARGV[5]))
redis.call('HSET', key(id), 'note', ARGV[4], 'due', due)
redis.call('ZADD', base .. ':due', due, id)
return 1";
