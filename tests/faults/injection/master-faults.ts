import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisCluster } from '../../stack/redis/cluster.ts'
import type { ReplicatedRedis } from '../../stack/redis/deployment.ts'
import { shardsFor } from '../../stack/servers.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { withLoss } from './redis-losses.ts'

/**
 * How a master of a Redis with replicas stops being one:
 *
 * - `killed-master`: it is killed. Its replica is promoted and may lack the last writes.
 * - `frozen-master`: SIGSTOP stops it until its replica has been promoted. When it continues, it
 *   acts as the master until it learns of the new one.
 * - `ordered-failover`: a failover is ordered, as for maintenance.
 * - `moved-slot`: a slot moves to another master, key by key. Only a cluster has slots.
 */
export type MasterFault = 'killed-master' | 'frozen-master' | 'ordered-failover' | 'moved-slot'

const WITH_REPLICAS: readonly MasterFault[] = ['killed-master', 'frozen-master', 'ordered-failover']

/** The faults that each kind of Redis with replicas gets. */
export const MASTER_FAULTS: Record<ReplicatedRedis['kind'], readonly MasterFault[]> = {
  cluster: [...WITH_REPLICAS, 'moved-slot'],
  sentinel: WITH_REPLICAS,
}

const SHARDS = Number(shardsFor('cluster')['SHARDS'])
/** How long a master is frozen, ms. Promoting its replica takes less. */
const FROZEN_FOR_MS = 5000

/**
 * Makes a master of a fleet's Redis stop being one.
 *
 * @param pick chooses the master or, for `moved-slot`, the shard
 * @returns after another one has taken over; `recovered` resolves when all servers run and every
 * master has a replica again
 */
export async function disturbMaster(
  fleet: Fleet,
  fault: MasterFault,
  pick: number,
): Promise<{ recovered: Promise<void> }> {
  const { replicated } = fleet
  if (replicated === undefined) throw new Error('this Redis has one server')
  switch (fault) {
    case 'killed-master': {
      const node = await withLoss(fleet, fault, () => replicated.killMaster(pick))
      return { recovered: node.restart().then(replicated.healthy) }
    }
    case 'frozen-master': {
      const masters = await replicated.masters()
      const master = masters[pick % masters.length]
      if (master === undefined) throw new Error('no master answers')
      await withLoss(fleet, fault, async () => {
        await master.pause()
        await sleep(FROZEN_FOR_MS)
        await master.resume()
      })
      return { recovered: replicated.healthy() }
    }
    case 'ordered-failover': {
      // In a cluster, the replica takes over when it has every write. Sentinels do not wait.
      if (replicated.kind === 'cluster') await replicated.failOver(pick)
      else await withLoss(fleet, fault, () => replicated.failOver(pick))
      return { recovered: replicated.healthy() }
    }
    case 'moved-slot':
      if (replicated.kind !== 'cluster') throw new Error('only a cluster has slots')
      await (replicated as RedisCluster).moveSlot(`{s${pick % SHARDS}}`)
      return { recovered: Promise.resolve() }
  }
}
