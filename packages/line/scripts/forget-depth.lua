--[[
  Deletes the depth of a line that has no jobs.

  Input:
    KEYS[1] queued jobs of the line
    KEYS[2] active jobs of the line
    KEYS[3] depth of the line

  Output:
    1 if it was deleted; 0 if there was none, or if the line has jobs by now
]]
local queued_key = KEYS[1]
local active_key = KEYS[2]
local depth_key = KEYS[3]

if redis.call('LLEN', queued_key) > 0 or redis.call('LLEN', active_key) > 0 then return 0 end
return redis.call('DEL', depth_key)
