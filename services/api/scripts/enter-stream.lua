--[[
  Counts a stream for its address and its user, unless one of them has too many.

  Input:
    KEYS[1] streams of the address
    KEYS[2] streams of the user; the same key as the first if there is no user

    ARGV[1] id of the process
    ARGV[2] prefix of the keys of living processes
    ARGV[3] maximum for the address
    ARGV[4] maximum for the user
    ARGV[5] time after which a key without new streams is deleted, ms

  Output:
    1 if the stream was counted, 0 if it was refused

  Each key is a hash of the number of streams by process. The streams of a process that is no longer
  alive do not count, and are deleted here.
]]
local address_key = KEYS[1]
local user_key = KEYS[2]
local process_id = ARGV[1]
local living_prefix = ARGV[2]
local address_max = tonumber(ARGV[3])
local user_max = tonumber(ARGV[4])
local forget_after_ms = ARGV[5]

local function count(key)
  local total = 0
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local process, streams = fields[i], tonumber(fields[i + 1])
    if process == process_id or redis.call('EXISTS', living_prefix .. process) == 1 then
      total = total + streams
    else
      redis.call('HDEL', key, process)
    end
  end
  return total
end

local function add(key)
  redis.call('HINCRBY', key, process_id, 1)
  redis.call('PEXPIRE', key, forget_after_ms)
end

if count(address_key) >= address_max then return 0 end
if user_key ~= address_key and count(user_key) >= user_max then return 0 end
add(address_key)
if user_key ~= address_key then add(user_key) end
return 1
