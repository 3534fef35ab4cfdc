--[[
  Puts an active job back at the end of its line, and unlocks it. Does nothing if it is not active.

  Input:
    KEYS[1] queued jobs of the line
    KEYS[2] active jobs of the line
    KEYS[3] lock of the job

    ARGV[1] id of the job
]]
local queued_key = KEYS[1]
local active_key = KEYS[2]
local lock_key = KEYS[3]
local job_id = ARGV[1]

if redis.call('LREM', active_key, 0, job_id) > 0 then
  redis.call('DEL', lock_key)
  redis.call('LPUSH', queued_key, job_id)
end
