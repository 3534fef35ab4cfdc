--[[
  Puts jobs before all other undecided jobs of their line, in the given order. Jobs that are neither
  queued nor active stay where they are.

  Input:
    KEYS[1] queued jobs of the line
    KEYS[2] active jobs
    KEYS[3] active jobs that may be stalled

    ARGV[1] base of the line: what all its keys begin with
    ARGV[2], ARGV[3] … ids of the jobs, the first one to be served next

  Active jobs are queued again. A worker may have fetched one after Redis had lost the jobs before
  it. If the worker died then, the job would return to the head of the line. A worker that still
  decides such a job cannot complete it any more, and the next one finds its outcomes.

  The right end of the list is served next.
]]
local queued_key = KEYS[1]
local active_key = KEYS[2]
local stalled_key = KEYS[3]
local base = ARGV[1]

-- Lua's unpack takes at most about 8000 values.
local PUSHED_AT_ONCE = 1000

local queued = redis.call('LRANGE', queued_key, 0, -1)
for _, id in ipairs(redis.call('LRANGE', active_key, 0, -1)) do
  redis.call('DEL', base .. id .. ':lock')
  queued[#queued + 1] = id
end
local is_queued = {}
for _, id in ipairs(queued) do is_queued[id] = true end
local is_first = {}
for i = 2, #ARGV do is_first[ARGV[i]] = true end

local ordered = {}
for _, id in ipairs(queued) do
  if not is_first[id] then ordered[#ordered + 1] = id end
end
for i = #ARGV, 2, -1 do
  if is_queued[ARGV[i]] then ordered[#ordered + 1] = ARGV[i] end
end

redis.call('DEL', queued_key, active_key, stalled_key)
for i = 1, #ordered, PUSHED_AT_ONCE do
  redis.call('RPUSH', queued_key, unpack(ordered, i, math.min(i + PUSHED_AT_ONCE - 1, #ordered)))
end
