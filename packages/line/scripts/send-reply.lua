--[[
  Sends the outcomes of a job to the API process that added it, reduces the depth of its line, and
  measures the pace of the line. It also announces the changes of the job.

  Input:
    KEYS[1] replies of the API process; any key if there is no reply
    KEYS[2] queued jobs of the line
    KEYS[3] depth of the line: undecided commands by event
    KEYS[4] pace of the line: time of the last reply, and sums over the latest jobs (pace.ts)

    ARGV[1] reply as JSON; empty if the job leaves its line without a reply
    ARGV[2] about how many replies the stream keeps
    ARGV[3] how long the stream lives after its last reply, ms
    ARGV[4] after how long a job counts 1 / e times in the long sums of the pace, ms
    ARGV[5] the same for the short sums, ms
    ARGV[6] longest time between two replies that is measured, ms
    ARGV[7] channel of announcements
    ARGV[8] announcement; empty if nothing has changed
    ARGV[9], ARGV[10] … id of an event and its number of commands in the job, for each event

  If no job is queued, the script deletes the whole depth, because a process that died may have left
  it too high, and the pace, because the line may be idle from now on.

  A user of Redis that may not publish is no reason to fail: readers of changes also look into
  PostgreSQL once a second.
]]
local replies_key = KEYS[1]
local queued_key = KEYS[2]
local depth_key = KEYS[3]
local pace_key = KEYS[4]
local reply = ARGV[1]
local replies_kept = ARGV[2]
local replies_ttl_ms = ARGV[3]
local long_ms = tonumber(ARGV[4])
local short_ms = tonumber(ARGV[5])
local longest_ms = tonumber(ARGV[6])
local changes_channel = ARGV[7]
local announcement = ARGV[8]

--- @include "include/now"

local function measure_pace(commands)
  local now = now_ms()
  local pace = redis.call('HMGET', pace_key, 'at',
    'took', 'jobs', 'commands', 'short-took', 'short-jobs', 'short-commands')
  local took = now - (pace[1] or now)
  if not pace[1] or took < 0 or took > longest_ms then
    return redis.call('HSET', pace_key, 'at', now)
  end
  local kept = math.exp(-took / long_ms)
  local short_kept = math.exp(-took / short_ms)
  redis.call('HSET', pace_key, 'at', now,
    'took', (pace[2] or 0) * kept + took,
    'jobs', (pace[3] or 0) * kept + 1,
    'commands', (pace[4] or 0) * kept + commands,
    'short-took', (pace[5] or 0) * short_kept + took,
    'short-jobs', (pace[6] or 0) * short_kept + 1,
    'short-commands', (pace[7] or 0) * short_kept + commands)
end

if reply ~= '' then
  redis.call('XADD', replies_key, 'MAXLEN', '~', replies_kept, '*', 'reply', reply)
  redis.call('PEXPIRE', replies_key, replies_ttl_ms)
end
if redis.call('LLEN', queued_key) == 0 then
  redis.call('DEL', depth_key, pace_key)
else
  local commands = 0
  for i = 9, #ARGV, 2 do
    local event_id = ARGV[i]
    local count = tonumber(ARGV[i + 1])
    commands = commands + count
    if redis.call('HINCRBY', depth_key, event_id, -count) <= 0 then
      redis.call('HDEL', depth_key, event_id)
    end
  end
  measure_pace(commands)
end
if announcement ~= '' then
  redis.pcall('PUBLISH', changes_channel, announcement)
end
