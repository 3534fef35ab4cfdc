--[[
  Forgets lines that are empty and were not used for a while: removes their keys, and moves their
  names from the registered to the recent lines.

  Input:
    KEYS[1] registered lines of the shard, by the time of their last registration
    KEYS[2] recent lines of the shard, which the dashboard shows

    ARGV[1] how long a line must have been unused, ms
    ARGV[2] prefix of the shard
    ARGV[3] maximum number of lines to check
    ARGV[4] how many recent lines are kept
    ARGV[5] how long they are kept after the last one was added, ms

  Output:
    { lines forgotten, lines checked, jobs removed }

  The script both checks and removes, so that no job can be added in between.
]]
local registered_key = KEYS[1]
local recent_key = KEYS[2]
local unused_ms = ARGV[1]
local prefix = ARGV[2]
local most_lines = ARGV[3]
local recent_kept = tonumber(ARGV[4])
local recent_kept_ms = ARGV[5]

--- @include "include/now"
--- @include "include/tidy-line"

local now = now_ms()
-- If the clock of Redis was set back, earlier registrations lie in the future. Without this loop,
-- the script would keep their lines until then.
for _, line in ipairs(
  redis.call('ZRANGEBYSCORE', registered_key, now + 60000, '+inf', 'LIMIT', 0, most_lines)) do
  redis.call('ZADD', registered_key, now, line)
end

local forgotten, removed_jobs = 0, 0
local lines =
  redis.call('ZRANGEBYSCORE', registered_key, '-inf', now - unused_ms, 'LIMIT', 0, most_lines)
for _, line in ipairs(lines) do
  local base = prefix .. ':' .. line .. ':'
  if is_empty(base) then
    removed_jobs = removed_jobs + remove_finished(base)
    remove_rest(base)
    local used_at = redis.call('ZSCORE', registered_key, line)
    -- Lines that the sweep found by their keys are registered with the time 0. Nobody knows when
    -- they were used, so they are not recent.
    if tonumber(used_at) > 0 then redis.call('ZADD', recent_key, used_at, line) end
    redis.call('ZREM', registered_key, line)
    forgotten = forgotten + 1
  else
    redis.call('ZADD', registered_key, now, line)
  end
end
if forgotten > 0 then
  redis.call('ZREMRANGEBYRANK', recent_key, 0, -1 - recent_kept)
  redis.call('PEXPIRE', recent_key, recent_kept_ms)
end
return { forgotten, #lines, removed_jobs }
