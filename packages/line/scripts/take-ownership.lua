--[[
  Makes an installation the owner of the keys of a prefix. Does nothing if they have an owner.

  Input:
    KEYS[1] owner of the keys

    ARGV[1] id of the installation
    ARGV[2] random id for this Redis
]]
local owner_key = KEYS[1]
local installation_id = ARGV[1]
local redis_id = ARGV[2]

if redis.call('HSETNX', owner_key, 'installation', installation_id) == 1 then
  redis.call('HSET', owner_key, 'redis', redis_id)
end
