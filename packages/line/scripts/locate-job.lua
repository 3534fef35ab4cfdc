--[[
  Finds how many jobs are ahead of a job in its line, and the pace of the line.

  Input:
    KEYS[1] queued jobs of the line
    KEYS[2] active jobs of the line
    KEYS[3] prioritized jobs of the line
    KEYS[4] pace of the line (pace.ts)

    ARGV[1] id of the job
    ARGV[2] maximum number of ids of queued jobs to return

  Output, one of:
    { 0 }                             the job is active
    { 1, jobs ahead, pace, id, … }    it is queued; the ids are those of the active jobs, then those
                                      of the queued jobs ahead of it, or of an even sample of them
    { 1, jobs ahead, pace }           it is prioritized
    { -1, queued jobs, pace }         none of the three lists contains it

  `pace` has the time since the last reply in ms, then the long and the short sums: time, jobs,
  commands of each. It is empty if the pace is unknown.

  The line is served from the right end of the queued jobs, then from the prioritized ones.
]]
local queued_key = KEYS[1]
local active_key = KEYS[2]
local prioritized_key = KEYS[3]
local pace_key = KEYS[4]
local job_id = ARGV[1]
local most_ids = tonumber(ARGV[2])

-- Number of stretches of a sample. A line is long because many jobs arrived, and the size of jobs
-- changes slowly, so a few stretches are enough.
local STRETCHES = 20

--- @include "include/now"

local function read_pace()
  local pace = redis.call('HMGET', pace_key, 'at',
    'took', 'jobs', 'commands', 'short-took', 'short-jobs', 'short-commands')
  if not pace[2] then return {} end
  pace[1] = now_ms() - pace[1]
  return pace
end

if redis.call('LPOS', active_key, job_id) then return { 0 } end
local index = redis.call('LPOS', queued_key, job_id, 'RANK', -1)
local queued = redis.call('LLEN', queued_key)
if not index then
  local rank = redis.call('ZRANK', prioritized_key, job_id)
  return rank and { 1, queued + rank, read_pace() } or { -1, queued, read_pace() }
end
local ahead = queued - 1 - index
local result = { 1, ahead, read_pace() }
local function append(first, last)
  for _, id in ipairs(redis.call('LRANGE', queued_key, first, last)) do result[#result + 1] = id end
end
for _, id in ipairs(redis.call('LRANGE', active_key, 0, -1)) do result[#result + 1] = id end
if ahead > most_ids then
  local length = math.floor(most_ids / STRETCHES)
  for stretch = 0, STRETCHES - 1 do
    local first = index + 1 + math.floor(stretch * (ahead - length) / (STRETCHES - 1))
    append(first, first + length - 1)
  end
elseif ahead > 0 then
  append(index + 1, index + ahead)
end
return result
