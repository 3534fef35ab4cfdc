--[[
  Counts the jobs of lines.

  Input:
    KEYS[1] registered lines of the shard; not read, but it tells a Redis Cluster the slot

    ARGV[1] … base of each line: what all its keys begin with

  Output:
    two numbers for each line, in the order of ARGV: queued jobs and active jobs
]]
local lengths = {}
for _, base in ipairs(ARGV) do
  local queued = redis.call('LLEN', base .. 'wait')
  local active = redis.call('LLEN', base .. 'active')
  -- An operator may have given the jobs a priority or a delay, or paused the line. Then they are
  -- in other lists.
  if queued + active == 0 then
    queued = redis.call('ZCARD', base .. 'prioritized') + redis.call('ZCARD', base .. 'delayed')
      + redis.call('LLEN', base .. 'paused')
  end
  lengths[#lengths + 1] = queued
  lengths[#lengths + 1] = active
end
return lengths
