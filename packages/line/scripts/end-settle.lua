--[[
  Removes the mark of an event whose settle has left its line. A mark of another job stays. If the
  settle was rejected, the mark is replaced by one that keeps further settles away for a while.

  Input:
    KEYS[1] mark of the event

    ARGV[1] id of the job
    ARGV[2] how long further settles are kept away, ms; 0 if the settle was not rejected
]]
local mark_key = KEYS[1]
local job_id = ARGV[1]
local rejected_ms = tonumber(ARGV[2])

if rejected_ms > 0 then
  redis.call('SET', mark_key, 'rejected', 'PX', rejected_ms)
elseif redis.call('GET', mark_key) == job_id then
  redis.call('DEL', mark_key)
end
