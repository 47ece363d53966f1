-- Counts one guess. ARGV: most, window, now, print of name and block ('' for none), how long a login counts as lately.
-- Fields: since and count of all; under a print "at since count" of a pair that has logged in.
local function number(text)
  if type(text) == 'string' and #text <= 15 and string.match(text, '^%d+$') then return tonumber(text) end
end
local most, window, now, print, lately = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local at, since, count
if print ~= '' then
  local pair = redis.call('HGET', KEYS[1], print)
  if pair then
    local a, s, c = string.match(pair, '^(%d+) (%d+) (%d+)$')
    at, since, count = number(a), number(s), number(c)
    if not at or not since or not count or now >= at + lately then
      redis.call('HDEL', KEYS[1], print)
      at = nil
    end
  end
end
if not at then
  local all = redis.call('HMGET', KEYS[1], 'since', 'count')
  since, count = number(all[1]), number(all[2])
end
-- A window begins with its first failure; one that lies ahead comes of a clock put back.
if not since or not count or count == 0 or now < since or now >= since + window then
  since, count = now, 0
end
if count >= most then return { 0, since + window - now, 0 } end
count = count + 1
if at then
  redis.call('HSET', KEYS[1], print, string.format('%d %d %d', at, since, count))
else
  redis.call('HSET', KEYS[1], 'since', string.format('%d', since), 'count', string.format('%d', count))
end
-- What is left of a bucket that nobody has logged in by goes with its window.
local fields = redis.call('HLEN', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < window or fields == 2 and not at then redis.call('PEXPIRE', KEYS[1], window) end
return { 1, since, at and 1 or 0 }
