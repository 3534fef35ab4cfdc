--[[
  Marks the events to which a settle is added, so that each has at most one undecided settle. It
  counts these settles into their lines and registers the lines, as `admit-commands.lua` does with
  other commands. The settles of thousands of events can be due in one instant, so both are one
  script.

  Input:
    KEYS[1] registered lines of the shard

    ARGV[1] how long a mark lasts, ms
    ARGV[2] how long after its mark the job of a settle may still be on its way into the line, ms
    ARGV[3] how long after its mark, or after the last search, the lists of the line are searched
      for the job, ms
    ARGV[4] how long the mark of a rejected settle lasts, ms
    ARGV[5], ARGV[6], ARGV[7], ARGV[8] … base of the line, its name, id of the event, and id of the
      job of its settle, for each event

  Output:
    for each event, in the order of ARGV: 1 if it was marked and its job must be added, else 0

  A mark is the id of the job. An event is not marked again while the job is on its way into the
  line, while the line has it, and for a while after the settle was rejected. If the process died
  before it added the job, or if the job was lost, the event is marked again. If a job stays in its
  line for long, its mark is renewed as long as a list contains the job. If no list does, no worker
  would ever serve it, so its data is deleted and the event is marked again.
]]
local registered_key = KEYS[1]
local mark_ms = tonumber(ARGV[1])
local adding_ms = tonumber(ARGV[2])
local searched_ms = tonumber(ARGV[3])
local rejected_ms = tonumber(ARGV[4])

--- @include "include/now"

local function is_listed(base, job_id)
  return redis.call('LPOS', base .. 'active', job_id) or redis.call('LPOS', base .. 'wait', job_id)
    or redis.call('LPOS', base .. 'paused', job_id)
    or redis.call('ZSCORE', base .. 'prioritized', job_id)
    or redis.call('ZSCORE', base .. 'delayed', job_id)
end

local function has_settle(mark_key, base)
  local job_id = redis.call('GET', mark_key)
  local left_ms = redis.call('PTTL', mark_key)
  -- The mark lasts too long if the clock of Redis was set back.
  if not job_id or left_ms > rejected_ms then return false end
  if job_id == 'rejected' then return true end
  if left_ms > mark_ms - adding_ms and left_ms <= mark_ms then return true end
  local job = redis.call('HMGET', base .. job_id, 'timestamp', 'finishedOn')
  if not job[1] or job[2] then return false end
  if left_ms > mark_ms - searched_ms then return true end
  if not is_listed(base, job_id) then
    redis.call('DEL', base .. job_id)
    return false
  end
  redis.call('PEXPIRE', mark_key, mark_ms)
  return true
end

local function count(base, line_name, event_id)
  local depth_key = base .. 'depth'
  if redis.call('HINCRBY', depth_key, event_id, 1) <= 0 then
    redis.call('HSET', depth_key, event_id, 1)
  end
  redis.call('ZADD', registered_key, now_ms(), line_name)
end

local marked = {}
for i = 5, #ARGV, 4 do
  local base = ARGV[i]
  local line_name = ARGV[i + 1]
  local event_id = ARGV[i + 2]
  local job_id = ARGV[i + 3]
  local mark_key = base .. 'settle:' .. event_id
  if has_settle(mark_key, base) then
    marked[#marked + 1] = 0
  else
    redis.call('SET', mark_key, job_id, 'PX', mark_ms)
    count(base, line_name, event_id)
    marked[#marked + 1] = 1
  end
end
return marked
