import { type ApiProcess, startApi } from './api-process.ts'
import { createProcess, type SimProcess } from './clock.ts'
import { startWorker, type WorkerProcess } from './worker-process.ts'
import type { World } from './world.ts'

/** The running processes. Each process that ends is replaced, as an orchestrator does. */
export interface Fleet {
  apis(): ApiProcess[]
  workers(): WorkerProcess[]
}

const API_PROCESSES = 2
const WORKER_PROCESSES = 3
const RESTARTED_WITHIN_MS: [number, number] = [100, 3000]

export function startFleet(world: World): Fleet {
  const random = world.random.fork('fleet')
  const orchestrator = createProcess('orchestrator', true)
  const apis = new Map<SimProcess, ApiProcess>()
  const workers = new Map<SimProcess, WorkerProcess>()
  let born = 0

  function startOneApi(): void {
    const api = startApi(world, `api-${++born}`)
    apis.set(api.process, api)
  }
  function startOneWorker(): void {
    const worker = startWorker(world, `worker-${++born}`)
    workers.set(worker.process, worker)
  }

  world.onEnd((process) => {
    const startAgain = apis.delete(process) ? startOneApi : startOneWorker
    workers.delete(process)
    world.clock.after(random.between(...RESTARTED_WITHIN_MS), orchestrator, startAgain)
  })
  for (let i = 0; i < API_PROCESSES; i++) startOneApi()
  for (let i = 0; i < WORKER_PROCESSES; i++) startOneWorker()
  return { apis: () => [...apis.values()], workers: () => [...workers.values()] }
}
