-- The sealed part anew, if the record is the one that was read. The end of the key stays.
-- ARGV: rev, '1' if only while unused, then fields and values.
local h = redis.call('HMGET', KEYS[1], 'rev', 'used')
if h[1] ~= ARGV[1] then return 'moved' end
if ARGV[2] == '1' and h[2] ~= '0' then return 'moved' end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 'done'
