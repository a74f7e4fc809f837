/**
 * What has to happen in Redis as one: Lua, run by Redis between two commands of anybody else. `lag` of a group is what it
 * has not been given yet, `pending` what it was given and did not acknowledge; both together are its unacknowledged messages.
 */
import { Script } from "./connection.js";

/** A group whose every consumer has been silent for so long has lost its processes; live ones ask every second. */
export const ABANDONED_MS = 30_000;
/** A stream may grow to so many times the bound of a group while a single early message holds up its trimming. */
const LONGEST = 16;
/** Sends of one publisher on one stream that are recognized when they come again; so many are under way at most. */
export const RECOGNIZED = 128;
const KEPT_MS = 7 * 24 * 3_600 * 1_000;
/** A stream that came up by publishing and that no group has joined since. */
const UNJOINED_MS = 3_600_000;
/** What a message is handed back to: nobody, and at once to be had. */
export const NOBODY = "-";
const RELEASED_IDLE_MS = 1_000_000_000;

const COMMON = `
local function map(flat)
  local t = {}
  for i = 1, #flat, 2 do t[flat[i]] = flat[i + 1] end
  return t
end
local function groups(key)
  if redis.call('EXISTS', key) == 0 then return {} end
  local list = {}
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do list[#list + 1] = map(flat) end
  return list
end
local function parts(id)
  local ms, seq = string.match(id, '(%d+)-(%d+)')
  return tonumber(ms), tonumber(seq)
end
local function less(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or (ams == bms and aseq < bseq)
end
local function after(id)
  local ms, seq = string.match(id, '(%d+)-(%d+)')
  return ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
end
-- The first entry that some group still needs; everything below may go.
local function lowest(key)
  local low = false
  for _, g in ipairs(groups(key)) do
    local id = g.pending > 0 and redis.call('XPENDING', key, g.name)[2] or after(g['last-delivered-id'])
    if not low or less(id, low) then low = id end
  end
  return low
end
local function trim(key)
  local low = lowest(key)
  if low then redis.call('XTRIM', key, 'MINID', low) else redis.call('XTRIM', key, 'MAXLEN', 0) end
end
local function held(key, g, most)
  local lag = g.lag or #redis.call('XRANGE', key, '(' .. g['last-delivered-id'], '+', 'COUNT', most)
  return g.pending + lag
end
local function abandoned(key, name, but)
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', key, name)) do
    local c = map(flat)
    if c.name ~= '${NOBODY}' and c.name ~= but and c.idle < ${ABANDONED_MS} then return false end
  end
  return true
end
local function ours(key, name, id)
  local found = redis.pcall('XPENDING', key, name, id, id, 1)
  if found.err or #found == 0 then return false end
  return found[1]
end
local function payload(fields)
  return map(fields).payload or ''
end
`;

const script = (text: string): Script => new Script(COMMON + text);

/**
 * KEYS stream, record of the publisher, passing groups, lease; ARGV number of the send, bound, payload, token of the lease or "".
 * @returns ["sent" | "again", id, the publisher's highest number before] | ["full", group, the same] | ["fenced", "", the same]
 */
export const PUBLISH = script(`
local slot = 'i' .. (tonumber(ARGV[1]) % ${RECOGNIZED})
local known = redis.call('HMGET', KEYS[2], 'last', slot)
local last = known[1] or '0'
if known[2] then
  local number, id = string.match(known[2], '^(%d+):(.*)$')
  if number == ARGV[1] then return {'again', id, last} end
end
if ARGV[4] ~= '' and redis.call('GET', KEYS[4]) ~= ARGV[4] then return {'fenced', '', last} end
local most = tonumber(ARGV[2])
local length = redis.call('XLEN', KEYS[1])
if length >= most then
  trim(KEYS[1])
  length = redis.call('XLEN', KEYS[1])
end
if length >= most then
  for _, g in ipairs(groups(KEYS[1])) do
    if held(KEYS[1], g, most) >= most then
      if redis.call('SISMEMBER', KEYS[3], g.name) == 0 or not abandoned(KEYS[1], g.name) then
        return {'full', g.name, last}
      end
      redis.call('XGROUP', 'DESTROY', KEYS[1], g.name)
    end
  end
  if length >= ${LONGEST} * most then return {'full', '', last} end
end
local fresh = redis.call('EXISTS', KEYS[1]) == 0
local id = redis.call('XADD', KEYS[1], '*', 'v', '1', 'payload', ARGV[3])
if fresh then redis.call('PEXPIRE', KEYS[1], ${UNJOINED_MS}) end
if tonumber(ARGV[1]) > tonumber(last) then redis.call('HSET', KEYS[2], 'last', ARGV[1]) end
redis.call('HSET', KEYS[2], slot, ARGV[1] .. ':' .. id)
redis.call('PEXPIRE', KEYS[2], ${KEPT_MS})
return {'sent', id, last}
`);

/**
 * KEYS stream, record of the publisher.
 * @returns [the publisher's highest number, the first entry that a group still needs or "", whether the stream is there]
 */
export const CHECK_SENT = script(`
redis.call('PEXPIRE', KEYS[2], ${KEPT_MS})
return {redis.call('HGET', KEYS[2], 'last') or '0', lowest(KEYS[1]) or '', redis.call('EXISTS', KEYS[1])}
`);

/**
 * KEYS stream, passing groups; ARGV group, consumer, "$" or "0" (where a group that is not there begins), whether it lasts.
 * @returns 1 where the group was made now
 */
export const JOIN = script(`
local start, read = ARGV[3], '0'
if start == '$' and redis.call('EXISTS', KEYS[1]) == 1 then
  local stream = map(redis.call('XINFO', 'STREAM', KEYS[1]))
  start, read = stream['last-generated-id'], tostring(stream['entries-added'])
elseif start == '$' then
  start = '0'
end
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], start, 'MKSTREAM', 'ENTRIESREAD', read)
if made.err and not string.find(made.err, 'BUSYGROUP') then return made end
redis.call('PERSIST', KEYS[1])
redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], ARGV[1], ARGV[2])
redis.call(ARGV[4] == '1' and 'SREM' or 'SADD', KEYS[2], ARGV[1])
return made.err and 0 or 1
`);

/** KEYS stream, counts; ARGV group, id. @returns 1 where it was not acknowledged before */
export const ACKNOWLEDGE = script(`
local done = redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if done == 1 and redis.call('HINCRBY', KEYS[2], 'acknowledged', 1) % 32 == 0 then trim(KEYS[1]) end
return done
`);

/**
 * Takes a message of one's own once more. KEYS stream, counts; ARGV group, consumer, id.
 * @returns the number of this delivery; 0 where it is not one's own any more
 */
export const REDELIVER = script(`
local entry = ours(KEYS[1], ARGV[1], ARGV[3])
if not entry or entry[2] ~= ARGV[2] then return 0 end
if #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[2], 'redelivered', 1)
return entry[4] + 1
`);

/**
 * Takes messages over that nobody looks after. KEYS stream, counts; ARGV group, consumer, least idle ms, cursor, most.
 * @returns [next cursor, [[id, payload, deliveries], …], ids that are in the stream no more]
 */
export const ADOPT = script(`
local found = redis.pcall('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
if found.err then return {'0-0', {}, {}} end
local list = {}
for _, entry in ipairs(found[2]) do
  local count = ours(KEYS[1], ARGV[1], entry[1])[4]
  if count > 1 then redis.call('HINCRBY', KEYS[2], 'redelivered', 1) end
  list[#list + 1] = {entry[1], payload(entry[2]), count}
end
return {found[1], list, found[3] or {}}
`);

/**
 * What a consumer was given: after a connection was lost, an answer may have been on its way. KEYS stream; ARGV group, consumer.
 * @returns [[id, payload, deliveries], …]
 */
export const OWN_PENDING = script(`
local found = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 10000, ARGV[2])
if found.err then return {} end
local list = {}
for _, entry in ipairs(found) do
  local stored = redis.call('XRANGE', KEYS[1], entry[1], entry[1])
  if #stored > 0 then list[#list + 1] = {entry[1], payload(stored[1][2]), entry[4]} end
end
return list
`);

/** KEYS stream, counts, dead letters; ARGV group, id, lane, deliveries, reason, dead letters kept. */
export const BURY = script(`
local stored = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[2], 'dead', 1)
local bytes = #stored > 0 and payload(stored[1][2]) or ''
redis.call('XADD', KEYS[3], 'MAXLEN', '=', ARGV[6], '*', 'id', ARGV[2], 'lane', ARGV[3], 'payload', bytes,
  'deliveries', ARGV[4], 'reason', ARGV[5])
trim(KEYS[1])
return 1
`);

/** Hands messages back, for another consumer to take at once. KEYS stream; ARGV group, consumer, then id and count of deliveries, … */
export const RELEASE = script(`
for i = 3, #ARGV, 2 do
  local entry = ours(KEYS[1], ARGV[1], ARGV[i])
  if entry and entry[2] == ARGV[2] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], '${NOBODY}', 0, ARGV[i], 'IDLE', ${RELEASED_IDLE_MS},
      'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
  end
end
return 0
`);

/** Takes away consumers that are long silent and hold nothing, and what no group needs. KEYS stream; ARGV group, consumer. */
export const TIDY = script(`
local found = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if found.err then return 0 end
for _, flat in ipairs(found) do
  local c = map(flat)
  if c.name ~= ARGV[2] and c.pending == 0 and c.idle > ${20 * ABANDONED_MS} then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], c.name)
  end
end
trim(KEYS[1])
return 1
`);

/** KEYS streams of both lanes, counts, dead letters, passing groups; ARGV group, consumer. Ends a passing group that nobody else is in. */
export const LEAVE = script(`
for i = 1, 2 do
  for _, g in ipairs(groups(KEYS[i])) do
    if g.name == ARGV[1] and not abandoned(KEYS[i], g.name, ARGV[2]) then return 0 end
  end
end
for i = 1, 2 do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('XGROUP', 'DESTROY', KEYS[i], ARGV[1])
    trim(KEYS[i])
  end
end
redis.call('DEL', KEYS[3], KEYS[4])
redis.call('SREM', KEYS[5], ARGV[1])
return 1
`);

/** KEYS streams of both lanes, counts; ARGV group, bound. @returns [unacknowledged, acknowledged, redelivered, dead]; [] for no group */
export const STATS = script(`
local sum, there = 0, false
for i = 1, 2 do
  for _, g in ipairs(groups(KEYS[i])) do
    if g.name == ARGV[1] then
      there = true
      sum = sum + held(KEYS[i], g, tonumber(ARGV[2]))
    end
  end
end
if not there then return {} end
local counts = redis.call('HMGET', KEYS[3], 'acknowledged', 'redelivered', 'dead')
return {sum, tonumber(counts[1] or 0), tonumber(counts[2] or 0), tonumber(counts[3] or 0)}
`);

/** KEYS streams of both lanes; ARGV group. @returns [ms since a process of the group last asked for messages]; [] for no group or process */
export const LAST_ASKED = script(`
local least = false
for i = 1, 2 do
  for _, g in ipairs(groups(KEYS[i])) do
    if g.name == ARGV[1] then
      for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[i], g.name)) do
        local c = map(flat)
        if c.name ~= '${NOBODY}' and (not least or c.idle < least) then least = c.idle end
      end
    end
  end
end
return least and {least} or {}
`);

/** KEYS streams of both lanes and all else of the topic; ARGV prefix of the counts' keys, prefix of the dead letters' keys. */
export const REMOVE = script(`
for i = 1, 2 do
  for _, g in ipairs(groups(KEYS[i])) do redis.call('DEL', ARGV[1] .. g.name, ARGV[2] .. g.name) end
end
return redis.call('DEL', unpack(KEYS))
`);

export const ALL_SCRIPTS: readonly Script[] = [
  PUBLISH,
  CHECK_SENT,
  JOIN,
  ACKNOWLEDGE,
  REDELIVER,
  ADOPT,
  OWN_PENDING,
  BURY,
  RELEASE,
  TIDY,
  LEAVE,
  STATS,
  LAST_ASKED,
  REMOVE,
];
