-- `base` is what all keys of a line begin with (`lineBase` in keys.ts).

-- True if BullMQ has no unfinished job of the line. Redis deletes a list when its last job leaves
-- it.
local function is_empty(base)
  return redis.call('EXISTS', base .. 'wait', base .. 'active', base .. 'prioritized',
    base .. 'delayed', base .. 'paused', base .. 'waiting-children') == 0
end

-- Removes the finished jobs of a line and returns their number. Failed jobs stay, because
-- `ops reconcile` shows them.
local function remove_finished(base)
  local completed = base .. 'completed'
  local job_ids = redis.call('ZRANGE', completed, 0, -1)
  for _, id in ipairs(job_ids) do
    redis.call('UNLINK', base .. id, base .. id .. ':logs', base .. id .. ':lock')
  end
  redis.call('UNLINK', completed, base .. 'events')
  return #job_ids
end

-- Removes the other keys of an empty line. A worker writes the settings in 'meta' again before it
-- fetches, so this removes them too, unless somebody has paused the line.
local function remove_rest(base)
  local meta = base .. 'meta'
  redis.call('UNLINK', base .. 'id', base .. 'marker', base .. 'stalled', base .. 'stalled-check',
    base .. 'pc', base .. 'depth', base .. 'pace')
  if redis.call('HEXISTS', meta, 'paused') == 0 then redis.call('UNLINK', meta) end
end
