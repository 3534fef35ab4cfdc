--[[
  Ends the lease of a download.

  Input:
    KEYS[1] lease of the user

    ARGV[1] id of the download

  Output:
    1 if it was ended, 0 if the download no longer holds it (see renew-export.lua)
]]
local lease_key = KEYS[1]
local download_id = ARGV[1]

if redis.call('GET', lease_key) ~= download_id then return 0 end
return redis.call('DEL', lease_key)
