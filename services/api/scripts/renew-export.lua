--[[
  Renews the lease of a download.

  Input:
    KEYS[1] lease of the user

    ARGV[1] id of the download
    ARGV[2] new duration of the lease, ms

  Output:
    1 if it was renewed, 0 if the download no longer holds it

  If the process of the download was blocked, its lease may have expired, and another download may
  hold it.
]]
local lease_key = KEYS[1]
local download_id = ARGV[1]
local duration_ms = ARGV[2]

if redis.call('GET', lease_key) ~= download_id then return 0 end
return redis.call('PEXPIRE', lease_key, duration_ms)
