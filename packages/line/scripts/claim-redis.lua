--[[
  Claims the keys of a prefix for an installation. Does nothing if they are already claimed.

  Input:
    KEYS[1] claim of the installation

    ARGV[1] id of the installation
    ARGV[2] random id for this Redis
]]
local claim_key = KEYS[1]
local installation_id = ARGV[1]
local redis_id = ARGV[2]

if redis.call('HSETNX', claim_key, 'installation', installation_id) == 1 then
  redis.call('HSET', claim_key, 'redis', redis_id)
end
