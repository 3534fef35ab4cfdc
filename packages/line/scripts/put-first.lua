--[[
  Puts jobs before all other queued jobs of their line, in the given order. Jobs that are not queued
  stay where they are.

  Input:
    KEYS[1] queued jobs of the line

    ARGV[1], ARGV[2] … ids of the jobs, the first one to be served next

  The right end of the list is served next.
]]
local queued_key = KEYS[1]

-- Lua's unpack takes at most about 8000 values.
local PUSHED_AT_ONCE = 1000

local queued = redis.call('LRANGE', queued_key, 0, -1)
local is_queued = {}
for _, id in ipairs(queued) do is_queued[id] = true end
local is_first = {}
for _, id in ipairs(ARGV) do is_first[id] = true end

local ordered = {}
for _, id in ipairs(queued) do
  if not is_first[id] then ordered[#ordered + 1] = id end
end
for i = #ARGV, 1, -1 do
  if is_queued[ARGV[i]] then ordered[#ordered + 1] = ARGV[i] end
end

redis.call('DEL', queued_key)
for i = 1, #ordered, PUSHED_AT_ONCE do
  redis.call('RPUSH', queued_key, unpack(ordered, i, math.min(i + PUSHED_AT_ONCE - 1, #ordered)))
end
