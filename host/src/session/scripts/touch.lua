-- A use. ARGV: rev, a, now, until, idle, size of a block ('' takes nothing of one).
-- Deadlines come with the call, out of the sealed part: what stands in the clear prolongs nothing.
local function number(text)
  if type(text) == 'string' and #text <= 15 and string.match(text, '^%d+$') then return tonumber(text) end
end
local h = redis.call('HMGET', KEYS[1], 'rev', 'a', 'seen', 'left', 'block')
if h[1] ~= ARGV[1] or h[2] ~= ARGV[2] then return 'moved' end
local now, seen = tonumber(ARGV[3]), number(h[3])
if not seen or now >= tonumber(ARGV[4]) or now >= seen + tonumber(ARGV[5]) then return 'moved' end
if ARGV[6] ~= '' then
  local left, block = number(h[4]), number(h[5])
  if not block then return 'moved' end
  -- More than a block cannot have been released.
  if not left or left < 1 or left > tonumber(ARGV[6]) then return block end
  redis.call('HSET', KEYS[1], 'left', string.format('%d', left - 1))
end
if now > seen then redis.call('HSET', KEYS[1], 'seen', ARGV[3]) end
redis.call('HSET', KEYS[1], 'used', '1')
return 'done'
