-- Takes back what was counted. ARGV: since, is it a known pair's count, print, was it a login, now,
-- how long a login counts as lately, how many pairs are kept.
local function parts(pair)
  if type(pair) ~= 'string' or #pair > 48 then return end
  local a, s, c = string.match(pair, '^(%d+) (%d+) (%d+)$')
  return tonumber(a), tonumber(s), tonumber(c)
end
local since, known, print, login, now = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3], ARGV[4] == '1', tonumber(ARGV[5])
local at, s, c
if print ~= '' then at, s, c = parts(redis.call('HGET', KEYS[1], print)) end
if known then
  if at and s == since and c > 0 then c = c - 1 end
else
  local all = redis.call('HMGET', KEYS[1], 'since', 'count')
  if tonumber(all[1] or '') == since and (tonumber(all[2] or '') or 0) > 0 then
    redis.call('HSET', KEYS[1], 'count', string.format('%d', tonumber(all[2]) - 1))
  end
end
if login and print ~= '' then
  if not at then s, c = now, 0 end
  at = now
end
if at then redis.call('HSET', KEYS[1], print, string.format('%d %d %d', at, s, c)) end
if login and print ~= '' then
  local all, pairs_at = redis.call('HGETALL', KEYS[1]), {}
  for i = 1, #all, 2 do
    if all[i] ~= 'since' and all[i] ~= 'count' then table.insert(pairs_at, { parts(all[i + 1]) or 0, all[i] }) end
  end
  table.sort(pairs_at, function(one, other) return one[1] < other[1] end)
  for i = 1, #pairs_at - tonumber(ARGV[7]) do redis.call('HDEL', KEYS[1], pairs_at[i][2]) end
  if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[6]) then redis.call('PEXPIRE', KEYS[1], ARGV[6]) end
end
return 1
