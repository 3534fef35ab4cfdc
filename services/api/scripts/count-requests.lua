--[[
  Counts requests in fixed windows. The window of a key begins with its first request.

  Input:
    KEYS[1] … keys to count, each once per request

    ARGV[1] … length of the window of each key, ms; or one length for all keys

  Output:
    two numbers for each key, in the order of KEYS: its requests, and the ms until its window ends
]]
local counted = {}
for i, key in ipairs(KEYS) do
  local window_ms = tonumber(ARGV[i] or ARGV[1])
  local requests = redis.call('INCR', key)
  local left_ms = requests > 1 and redis.call('PTTL', key) or -1
  -- If a key lives longer than the window, its expiry was set before the clock of Redis was set
  -- back.
  if left_ms <= 0 or left_ms > window_ms then
    left_ms = window_ms
    redis.call('PEXPIRE', key, left_ms)
  end
  counted[2 * i - 1] = requests
  counted[2 * i] = left_ms
end
return counted
