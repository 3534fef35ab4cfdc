--[[
  Takes back a request that was counted.

  Input:
    KEYS[1] key that counted it

  The window may have ended since then. DECR would create a key that never expires, and the next
  window would start below zero.
]]
local key = KEYS[1]

if tonumber(redis.call('GET', key) or '0') > 0 then redis.call('DECR', key) end
