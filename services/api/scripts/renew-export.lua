--[[
  Renews the lease of a download, or takes it if nobody has it: Redis may have been unavailable when
  the download began, or may have lost the lease.

  Input:
    KEYS[1] lease of the user

    ARGV[1] id of the download
    ARGV[2] new duration of the lease, ms

  Output:
    1 if the download holds it now, 0 if another one does

  If the process of the download was blocked, its lease may have expired, and another download may
  hold it.
]]
local lease_key = KEYS[1]
local download_id = ARGV[1]
local duration_ms = ARGV[2]

local holder = redis.call('GET', lease_key)
if holder and holder ~= download_id then return 0 end
redis.call('SET', lease_key, download_id, 'PX', duration_ms)
return 1
