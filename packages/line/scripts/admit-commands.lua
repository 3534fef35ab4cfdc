--[[
  Counts commands into a line, up to the depth limit of each event, and registers the line.

  Input:
    KEYS[1] depth of the line: undecided commands by event
    KEYS[2] registered lines of the shard
    KEYS[3] queued jobs of the line
    KEYS[4] active jobs of the line
    KEYS[5] pace of the line (pace.ts)
    KEYS[6] generation of the shard (readiness.ts)

    ARGV[1] depth limit of an event; negative for no limit
    ARGV[2] '1' to register the line
    ARGV[3] name of the line
    ARGV[4] how long after its registration an empty line counts as left behind, ms
    ARGV[5] the generation that the caller knows; empty if any will do
    ARGV[6], ARGV[7] … id of an event and its number of commands, for each event

  Output:
    first, 1 if the shard has that generation, otherwise 0: Redis may have lost accepted jobs;
    then how long a job at the end of the line waits at its pace, ms; -1 if that is unknown;
    then two numbers for each event, in the order of ARGV: commands admitted, and its depth
    afterwards

  The commands are counted whatever the generation is, because their job may already be on its way.

  The line is registered before its job is added, so the sweep of the workers finds the job if the
  wake-up after the add is lost.

  If a process dies between this script and the add, its commands stay counted although they never
  arrive. If an event is at its limit although its line is empty, the script deletes the depth of
  the event. It keeps the depth if the line was registered a moment ago, because the job may still
  be on its way. A registration far in the future also counts as old: the clock of Redis was set
  back after it.
]]
local depth_key = KEYS[1]
local registered_key = KEYS[2]
local queued_key = KEYS[3]
local active_key = KEYS[4]
local pace_key = KEYS[5]
local ready_key = KEYS[6]
local limit = tonumber(ARGV[1])
local registers = ARGV[2] == '1'
local line_name = ARGV[3]
local left_behind_after_ms = tonumber(ARGV[4])
local generation = ARGV[5]

--- @include "include/now"

local function is_left_behind()
  local registered_at = tonumber(redis.call('ZSCORE', registered_key, line_name) or '0')
  return math.abs(now_ms() - registered_at) > left_behind_after_ms
    and redis.call('LLEN', queued_key) == 0 and redis.call('LLEN', active_key) == 0
end

local function wait_ms()
  local pace = redis.call('HMGET', pace_key, 'took', 'jobs', 'short-took', 'short-jobs')
  if not pace[1] then return -1 end
  return redis.call('LLEN', queued_key) * math.min(pace[1] / pace[2], pace[3] / pace[4])
end

local function is_ready()
  return generation == '' or redis.call('GET', ready_key) == generation
end

local result = { is_ready() and 1 or 0, wait_ms() }
local admits_any = false
for i = 6, #ARGV, 2 do
  local event_id = ARGV[i]
  local wanted = tonumber(ARGV[i + 1])
  local admitted = wanted
  local depth = tonumber(redis.call('HGET', depth_key, event_id) or '0')
  local is_full = limit >= 0 and depth + wanted > limit
  if depth < 0 or (is_full and depth > 0 and is_left_behind()) then
    redis.call('HDEL', depth_key, event_id)
    depth = 0
  end
  if limit >= 0 and depth + wanted > limit then admitted = math.max(0, limit - depth) end
  if admitted > 0 then
    depth = redis.call('HINCRBY', depth_key, event_id, admitted)
    admits_any = true
  end
  result[#result + 1] = admitted
  result[#result + 1] = depth
end
if registers and admits_any then redis.call('ZADD', registered_key, now_ms(), line_name) end
return result
