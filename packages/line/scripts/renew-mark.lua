--[[
  Reads which installation owns the keys of a prefix, and which processes are alive. If the caller
  names a process, and its installation owns the keys, the script marks the process as alive.

  Input:
    KEYS[1] owner of the keys
    KEYS[2] marks of the processes that are alive

    ARGV[1] id of the installation of the process; empty if the caller only reads
    ARGV[2] id of the process; empty if the caller only reads
    ARGV[3] its service
    ARGV[4] id of its database; empty if unknown
    ARGV[5] for how long a process counts as alive after its last mark, ms

  Output:
    { id of the installation, id of this Redis, id and mark of each other live process … }

  Every process runs this script every two seconds. Its writes stay out of the append-only file,
  because with `appendfsync always` Redis flushes that file to disk before it replies to any client.
  Replicas still get the writes. Redis may lose marks in a restart, because processes set them again
  when they reconnect.
]]
redis.set_repl(redis.REPL_REPLICA)

local owner_key = KEYS[1]
local processes_key = KEYS[2]
local installation_id = ARGV[1]
local process_id = ARGV[2]
local service = ARGV[3]
local database_id = ARGV[4]
local alive_ms = tonumber(ARGV[5])

--- @include "include/now"

local now = now_ms()
local owner = redis.call('HMGET', owner_key, 'installation', 'redis')
local result = { owner[1], owner[2] }
local marks = redis.call('HGETALL', processes_key)
for i = 1, #marks, 2 do
  local id, mark = marks[i], marks[i + 1]
  local age_ms = now - (tonumber(string.match(mark, '^%d+')) or 0)
  if age_ms > alive_ms or age_ms < -alive_ms then
    if process_id ~= '' then redis.call('HDEL', processes_key, id) end
  elseif id ~= process_id then
    result[#result + 1] = id
    result[#result + 1] = mark
  end
end
if process_id ~= '' and owner[1] == installation_id then
  local mark = string.format('%.0f', now) .. ' ' .. service .. ' ' .. database_id
  redis.call('HSET', processes_key, process_id, mark)
end
return result
