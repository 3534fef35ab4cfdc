--[[
  Counts the jobs of lines.

  Input:
    ARGV[1] … base of each line

  Output:
    two numbers for each line, in the order of ARGV: queued jobs and active jobs
]]
local lengths = {}
for _, base in ipairs(ARGV) do
  local queued = redis.call('LLEN', base .. 'wait')
  local active = redis.call('LLEN', base .. 'active')
  -- An operator may have given a job a priority or a delay, or paused the line.
  if queued + active == 0 then
    queued = redis.call('ZCARD', base .. 'prioritized') + redis.call('ZCARD', base .. 'delayed')
      + redis.call('LLEN', base .. 'paused')
  end
  lengths[#lengths + 1] = queued
  lengths[#lengths + 1] = active
end
return lengths
