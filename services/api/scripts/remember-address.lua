--[[
  Remembers the address of a sign-in.

  Input:
    KEYS[1] addresses of the account, scored by the time of their last sign-in, ms

    ARGV[1] now, ms
    ARGV[2] address
    ARGV[3] how many addresses are kept
    ARGV[4] how long they are kept after the last sign-in, ms
]]
local addresses_key = KEYS[1]
local now_ms = ARGV[1]
local address = ARGV[2]
local kept = tonumber(ARGV[3])
local kept_ms = ARGV[4]

redis.call('ZADD', addresses_key, now_ms, address)
redis.call('ZREMRANGEBYRANK', addresses_key, 0, -1 - kept)
redis.call('PEXPIRE', addresses_key, kept_ms)
