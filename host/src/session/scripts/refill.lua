-- A block that storage has just released, in the place of the one that is empty.
-- ARGV: rev, the empty block, the new one, its uses.
local h = redis.call('HMGET', KEYS[1], 'rev', 'block')
if h[1] ~= ARGV[1] or h[2] ~= ARGV[2] then return 'moved' end
redis.call('HSET', KEYS[1], 'block', ARGV[3], 'left', ARGV[4])
return 'done'
