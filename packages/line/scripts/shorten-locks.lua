--[[
  Limits the remaining lifetime of the locks of a line's active jobs, and of the line's mark.

  Input:
    KEYS[1] active jobs of the line
    KEYS[2] BullMQ's mark that some process has checked the line for stalled jobs

    ARGV[1] base of the line: what all its keys begin with
    ARGV[2] maximum lifetime of a lock, ms
    ARGV[3] maximum lifetime of the mark, ms

  Redis stores the time at which a key expires, by its own clock. If that clock is set back by an
  hour, existing keys last an hour longer: the mark, and the lock of a worker that has died.
]]
local active_key = KEYS[1]
local checked_key = KEYS[2]
local base = ARGV[1]
local longest_lock_ms = tonumber(ARGV[2])
local longest_mark_ms = tonumber(ARGV[3])

local function shorten(key, longest_ms)
  if redis.call('PTTL', key) > longest_ms then redis.call('PEXPIRE', key, longest_ms) end
end

shorten(checked_key, longest_mark_ms)
for _, job_id in ipairs(redis.call('LRANGE', active_key, 0, -1)) do
  shorten(base .. job_id .. ':lock', longest_lock_ms)
end
