--[[
  If no list contains a job, puts it back at the end of its line. Otherwise no worker would ever
  serve it. An operator or a fault may have deleted the list that contained it.

  Input:
    KEYS[1] queued jobs of the line
    KEYS[2] active jobs
    KEYS[3] paused jobs
    KEYS[4] prioritized jobs
    KEYS[5] delayed jobs
    KEYS[6] jobs that wait for children
    KEYS[7] completed jobs
    KEYS[8] failed jobs
    KEYS[9] data of the job

    ARGV[1] id of the job

  Output:
    0 if there is no such job, 1 if a list contains it, 2 if it was put back
]]
local queued_key = KEYS[1]
local job_key = KEYS[9]
local job_id = ARGV[1]

if redis.call('EXISTS', job_key) == 0 then return 0 end
for i = 1, 3 do
  if redis.call('LPOS', KEYS[i], job_id) then return 1 end
end
for i = 4, 8 do
  if redis.call('ZSCORE', KEYS[i], job_id) then return 1 end
end
redis.call('LPUSH', queued_key, job_id)
return 2
