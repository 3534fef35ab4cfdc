--[[
  Sends the outcomes of a job to the API process that added it, and reduces the depth of its line.

  Input:
    KEYS[1] replies of the API process; any key if there is no reply
    KEYS[2] queued jobs of the line
    KEYS[3] depth of the line: undecided commands by event

    ARGV[1] reply as JSON; empty if the job leaves its line without a reply
    ARGV[2] about how many replies the stream keeps
    ARGV[3] how long the stream lives after its last reply, ms
    ARGV[4], ARGV[5] … id of an event and its number of commands in the job, for each event

  If no job is queued, the script deletes the whole depth, because a process that died may have left
  it too high.
]]
local replies_key = KEYS[1]
local queued_key = KEYS[2]
local depth_key = KEYS[3]
local reply = ARGV[1]
local replies_kept = ARGV[2]
local replies_ttl_ms = ARGV[3]

if reply ~= '' then
  redis.call('XADD', replies_key, 'MAXLEN', '~', replies_kept, '*', 'reply', reply)
  redis.call('PEXPIRE', replies_key, replies_ttl_ms)
end
if redis.call('LLEN', queued_key) == 0 then
  redis.call('DEL', depth_key)
else
  for i = 4, #ARGV, 2 do
    local event_id = ARGV[i]
    local count = tonumber(ARGV[i + 1])
    if redis.call('HINCRBY', depth_key, event_id, -count) <= 0 then
      redis.call('HDEL', depth_key, event_id)
    end
  end
end
