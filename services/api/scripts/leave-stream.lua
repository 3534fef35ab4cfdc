--[[
  Takes back what enter-stream.lua has counted for a stream.

  Input:
    KEYS[1] streams of the address
    KEYS[2] streams of the user; the same key as the first if there is no user

    ARGV[1] id of the process

  Output:
    1
]]
local address_key = KEYS[1]
local user_key = KEYS[2]
local process_id = ARGV[1]

local function take(key)
  if redis.call('HINCRBY', key, process_id, -1) <= 0 then redis.call('HDEL', key, process_id) end
end

take(address_key)
if user_key ~= address_key then take(user_key) end
return 1
