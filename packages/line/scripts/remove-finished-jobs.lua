--[[
  Removes the finished jobs of lines.

  Input:
    KEYS[1] registered lines of the shard; not read, but it tells a Redis Cluster the slot

    ARGV[1] … base of each line: what all its keys begin with

  Output:
    number of jobs removed
]]

--- @include "include/tidy-line"

local removed = 0
for _, base in ipairs(ARGV) do removed = removed + remove_finished(base) end
return removed
