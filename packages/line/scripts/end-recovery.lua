--[[
  Gives a shard its generation, unless Redis has lost its data since the recovery began.

  Input:
    KEYS[1] token of the process that recovers
    KEYS[2] generation of the shard

    ARGV[1] the token of the caller
    ARGV[2] the generation

  Output:
    1 if the shard has the generation now, 0 if the token is gone
]]
local token_key = KEYS[1]
local ready_key = KEYS[2]
local token = ARGV[1]
local generation = ARGV[2]

if redis.call('GET', token_key) ~= token then return 0 end
redis.call('SET', ready_key, generation)
redis.call('DEL', token_key)
return 1
