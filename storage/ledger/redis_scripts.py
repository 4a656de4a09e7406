"""The Redis ledger's scripts: each operation is one of them, so it is one step and one round trip.

Keys, all under one hash tag, so that a cluster keeps them together and a script may use them all:

    {faregate}:epoch       is there while the ledger is whole, and says which store it belongs to; without it, every script answers `lost`
    {faregate}:of:STORE    is no key: what a script is given to say for which store it is run. A ledger of another one answers `foreign`
    {faregate}:leases      sorted set of open holds, by when their lease ends (milliseconds)
    {faregate}:c:COUNTER   hash: s, c and h followed by the number of a part are what is settled, charged and held in it; r is `rolling`
    {faregate}:h:HOLD      hash: st is o (open), r (open, made anew), c (charged) or g (gone), t the claims as JSON, f when it may be forgotten, a1, a2, … the amounts now
    {faregate}:young       there for a while after the ledger was made anew: until then nothing new is held, since gates may still bring what they hold

Counters count exactly, as 64-bit integers. Lua compares them as doubles, which are exact up to 9.0e15: larger limits are refused before.
"""

from hashlib import sha1

TAG = "{faregate}:"
OF = f"{TAG}of:"
# What the mark of a ledger is that belongs to no store yet: it is that of the first one that comes.
UNOWNED = "1"
EPOCH, LEASES = f"{TAG}epoch", f"{TAG}leases"

_PRELUDE = """
local tag = '{faregate}:'
local epoch, leases, young = tag .. 'epoch', tag .. 'leases', tag .. 'young'
local null = cjson.null
local function text(number) return string.format('%.0f', number + 0) end -- HINCRBY takes no -0
local function int(value) return tonumber(value or '0') or 0 end
local function lost() return redis.call('EXISTS', epoch) == 0 end
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end
-- A claim is {counter, amount, limit, forget_at, rolling, part}.
local function key_of(claim) return tag .. 'c:' .. claim[1] end
local function live(claim)
  local key = key_of(claim)
  if claim[5] == 0 then
    local found = redis.call('HMGET', key, 's0', 'c0', 'h0')
    return int(found[1]) + int(found[2]), int(found[3])
  end
  local first, spent, held = claim[6] - 60, 0, 0
  local found = redis.call('HGETALL', key)
  for i = 1, #found, 2 do
    local kind, part = string.sub(found[i], 1, 1), tonumber(string.sub(found[i], 2))
    if part and part >= first then
      if kind == 'h' then held = held + int(found[i + 1]) else spent = spent + int(found[i + 1]) end
    elseif part and part < first - 60 and kind ~= 'h' then
      redis.call('HDEL', key, found[i])
    end
  end
  return spent, held
end
local function change(claim, kind, amount)
  local key = key_of(claim)
  redis.call('HINCRBY', key, kind .. text(claim[6]), text(amount))
  if claim[5] ~= 0 then redis.call('HSET', key, 'r', text(claim[5])) end
  if claim[4] ~= null then
    local left = redis.call('PTTL', key)
    if left < 0 or (claim[5] ~= 0 and left < claim[4] * 1000 - clock('')) then redis.call('PEXPIREAT', key, text(claim[4] * 1000)) end
  end
end
local function hold_key(name) return tag .. 'h:' .. name end
local function held(name)
  local key = hold_key(name)
  local state = redis.call('HMGET', key, 'st', 't', 'f')
  if not state[1] then return nil end
  local claims = state[2] and cjson.decode(state[2]) or {}
  for i, claim in ipairs(claims) do claim[2] = int(redis.call('HGET', key, 'a' .. i)) end
  return state[1], claims, state[3]
end
local function standings(claims)
  local answer = {1}
  for _, claim in ipairs(claims) do
    local spent, held = live(claim)
    answer[#answer + 1] = text(spent)
    answer[#answer + 1] = text(held)
  end
  return answer
end
local function misfit(claims, amounts)
  local own = {}
  for i, claim in ipairs(claims) do
    local spent, held = live(claim)
    local before = own[claim[1]] or 0
    if claim[3] ~= null and spent + held + before + amounts[i] > claim[3] then return {0, i, text(spent), text(held)} end
    own[claim[1]] = before + amounts[i]
  end
  return nil
end
local function is_open(state) return state == 'o' or state == 'r' end
local function close(name, state, claims, actual)
  for i, claim in ipairs(claims) do
    change(claim, is_open(state) and 'h' or 'c', -claim[2])
    if actual then change(claim, 's', actual[i]) end
  end
  redis.call('DEL', hold_key(name))
  redis.call('ZREM', leases, name)
end
local function open(name, state, claims, claims_text, forget, until_)
  local fields = {'st', state, 't', claims_text, 'f', forget}
  for i, claim in ipairs(claims) do
    change(claim, 'h', claim[2])
    fields[#fields + 1] = 'a' .. i
    fields[#fields + 1] = text(claim[2])
  end
  redis.call('HSET', hold_key(name), unpack(fields))
  redis.call('ZADD', leases, text(until_), name)
end
local whose = redis.call('GET', epoch)
local mine = KEYS[2] and string.sub(KEYS[2], #tag + 4)
if not whose and not rebuilding then return {-1} end
if whose and mine and whose ~= mine then
  if whose ~= '1' then return {-4, whose} end
  redis.call('SET', epoch, mine)
end
"""


class Script:
    """One script: its text, and the name under which Redis keeps it."""

    def __init__(self, body: str, *, rebuilds: bool = False) -> None:
        """Put the text together; `rebuilds`: it also runs on a ledger that is lost."""
        self.text = f"local rebuilding = {'true' if rebuilds else 'false'}\n{_PRELUDE}{body}"
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


# ARGV: clock, hold, lease in ms, claims, forget_at in s
HOLD = Script("""
local state, claims = held(ARGV[2])
if state == 'g' then return {-2} end
if state then return standings(claims) end
if redis.call('EXISTS', young) == 1 then return {-1} end
claims = cjson.decode(ARGV[4])
local amounts = {}
for i, claim in ipairs(claims) do amounts[i] = claim[2] end
local refused = misfit(claims, amounts)
if refused then return refused end
open(ARGV[2], 'o', claims, ARGV[4], ARGV[5], clock(ARGV[1]) + tonumber(ARGV[3]))
return standings(claims)
""")

# ARGV: clock, hold, lease in ms, claims, forget_at in s
RESUME = Script("""
local state, known = held(ARGV[2])
local claims = cjson.decode(ARGV[4])
if not state then
  open(ARGV[2], 'o', claims, ARGV[4], ARGV[5], clock(ARGV[1]) + tonumber(ARGV[3]))
elseif state == 'r' then
  for i, claim in ipairs(claims) do
    local missing = math.max(claim[2] - known[i][2], 0)
    change(claim, 'h', missing)
    redis.call('HINCRBY', hold_key(ARGV[2]), 'a' .. i, text(missing))
  end
  redis.call('HSET', hold_key(ARGV[2]), 'st', 'o', 't', ARGV[4])
end
return {1}
""")

# ARGV: clock, hold, lease in ms, amounts
TOP_UP = Script("""
local state, claims = held(ARGV[2])
if redis.call('EXISTS', young) == 1 then return {-1} end
if not is_open(state) then return {-3, redis.call('HGET', hold_key(ARGV[2]), 't') or '[]'} end
local amounts = cjson.decode(ARGV[4])
local refused = misfit(claims, amounts)
if refused then
  refused[5] = redis.call('HGET', hold_key(ARGV[2]), 't')
  return refused
end
for i, claim in ipairs(claims) do
  change(claim, 'h', amounts[i])
  redis.call('HINCRBY', hold_key(ARGV[2]), 'a' .. i, text(amounts[i]))
end
redis.call('ZADD', leases, text(clock(ARGV[1]) + tonumber(ARGV[3])), ARGV[2])
return standings(claims)
""")

# ARGV: clock, lease in ms, hold…
RENEW = Script("""
local missing, until_ = {1}, text(clock(ARGV[1]) + tonumber(ARGV[2]))
for i = 3, #ARGV do
  local state = redis.call('HGET', hold_key(ARGV[i]), 'st')
  if is_open(state) then redis.call('ZADD', leases, until_, ARGV[i]) end
  if state ~= 'o' then missing[#missing + 1] = ARGV[i] end
end
return missing
""")

# ARGV: how long one that is not there stays out, in ms; hold…
RELEASE = Script("""
for i = 2, #ARGV do
  local state, claims = held(ARGV[i])
  if not state then
    redis.call('HSET', hold_key(ARGV[i]), 'st', 'g')
    redis.call('PEXPIRE', hold_key(ARGV[i]), ARGV[1])
  elseif is_open(state) then
    close(ARGV[i], state, claims, nil)
  end
end
return {1}
""")

# ARGV: hold, amounts, hold, amounts, …
SETTLE = Script("""
local unknown = {1}
for i = 1, #ARGV, 2 do
  local state, claims = held(ARGV[i])
  if is_open(state) or state == 'c' then close(ARGV[i], state, claims, cjson.decode(ARGV[i + 1])) else unknown[#unknown + 1] = ARGV[i] end
end
return unknown
""")

# ARGV: clock, most
EXPIRE = Script("""
local late = redis.call('ZRANGEBYSCORE', leases, '-inf', '(' .. text(clock(ARGV[1])), 'LIMIT', 0, ARGV[2])
local answer = {1}
for _, name in ipairs(late) do
  local state, claims, forget = held(name)
  if is_open(state) then
    for _, claim in ipairs(claims) do
      change(claim, 'h', -claim[2])
      change(claim, 'c', claim[2])
    end
    redis.call('HSET', hold_key(name), 'st', 'c')
    redis.call('PEXPIREAT', hold_key(name), text(tonumber(forget) * 1000))
    answer[#answer + 1] = name
  end
  redis.call('ZREM', leases, name)
end
return answer
""")

# ARGV: hold…
HELD = Script("""
local answer = {1}
for _, name in ipairs(ARGV) do
  local state, claims = held(name)
  local amounts = {}
  for i, claim in ipairs(claims or {}) do amounts[i] = text(claim[2]) end
  answer[#answer + 1] = (is_open(state) or state == 'c') and amounts or 0
end
return answer
""")

# ARGV: counter…
CELLS = Script("""
local answer = {1}
for _, name in ipairs(ARGV) do answer[#answer + 1] = redis.call('HGETALL', tag .. 'c:' .. name) end
return answer
""")

# ARGV: entry, claims, forget_at in s
CHARGE = Script("""
if redis.call('HSETNX', hold_key(ARGV[1]), 'st', 'g') == 1 then
  redis.call('PEXPIREAT', hold_key(ARGV[1]), text(tonumber(ARGV[3]) * 1000))
  for _, claim in ipairs(cjson.decode(ARGV[2])) do change(claim, 's', claim[2]) end
end
return {1}
""")

# It is given the claims.
RAISE = Script("""
local raised = 0
for _, claim in ipairs(cjson.decode(ARGV[1])) do
  local missing = claim[2] - int(redis.call('HGET', key_of(claim), 's' .. text(claim[6])))
  if missing > 0 then
    change(claim, 's', missing)
    raised = raised + missing
  end
end
return {1, text(raised)}
""")

# ARGV: claims, what was seen of each
LOWER = Script("""
local lowered, seen = 0, cjson.decode(ARGV[2])
for i, claim in ipairs(cjson.decode(ARGV[1])) do
  if int(redis.call('HGET', key_of(claim), 's' .. text(claim[6]))) == seen[i] then
    change(claim, 's', -claim[2])
    lowered = lowered + claim[2]
  end
end
return {1, text(lowered)}
""")

# ARGV: key…; leftovers of a ledger that was lost in part
SWEEP = Script("if lost() and #ARGV > 0 then redis.call('UNLINK', unpack(ARGV)) end return {1}", rebuilds=True)

# ARGV: clock, settled claims, lease in ms, how long it is young in ms, hold, claims, forget_at in s, hold, …
REBUILD = Script(
    """
if not lost() then return {0} end
for _, claim in ipairs(cjson.decode(ARGV[2])) do change(claim, 's', claim[2]) end
local until_ = clock(ARGV[1]) + tonumber(ARGV[3])
for i = 5, #ARGV, 3 do open(ARGV[i], 'r', cjson.decode(ARGV[i + 1]), ARGV[i + 1], ARGV[i + 2], until_) end
if tonumber(ARGV[4]) > 0 then redis.call('SET', young, '1', 'PX', ARGV[4]) end
redis.call('SET', epoch, mine or '1')
return {1}
""",
    rebuilds=True,
)
