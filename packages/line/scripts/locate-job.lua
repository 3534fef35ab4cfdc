--[[
  Finds how many jobs are ahead of a job in its line.

  Input:
    KEYS[1] queued jobs of the line
    KEYS[2] active jobs of the line
    KEYS[3] prioritized jobs of the line

    ARGV[1] id of the job
    ARGV[2] maximum number of ids of queued jobs to return

  Output, one of:
    { 0 }                           the job is active
    { 1, jobs ahead, id, id, … }    it is queued; the ids are those of the active jobs, then those
                                    of the queued jobs ahead of it, the nearest first
    { 1, jobs ahead }               it is prioritized
    { -1, queued jobs }             none of the three lists contains it

  The line is served from the right end of the queued jobs, then from the prioritized ones.
]]
local queued_key = KEYS[1]
local active_key = KEYS[2]
local prioritized_key = KEYS[3]
local job_id = ARGV[1]
local most_ids = tonumber(ARGV[2])

if redis.call('LPOS', active_key, job_id) then return { 0 } end
local index = redis.call('LPOS', queued_key, job_id, 'RANK', -1)
local queued = redis.call('LLEN', queued_key)
if not index then
  local rank = redis.call('ZRANK', prioritized_key, job_id)
  return rank and { 1, queued + rank } or { -1, queued }
end
local ahead = queued - 1 - index
local result = { 1, ahead }
for _, id in ipairs(redis.call('LRANGE', active_key, 0, -1)) do result[#result + 1] = id end
if ahead > 0 then
  local last = math.min(index + most_ids, index + ahead)
  for _, id in ipairs(redis.call('LRANGE', queued_key, index + 1, last)) do
    result[#result + 1] = id
  end
end
return result
