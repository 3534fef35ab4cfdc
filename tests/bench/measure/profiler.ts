import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Deployment } from '../systems/system.ts'

/** Environment of a process that {@link createProfiler} can attach to. */
export const profiledEnv = { NODE_OPTIONS: '--inspect=127.0.0.1:0' }

export interface Profiler {
  start(): Promise<void>
  /** Writes one `.cpuprofile` per process into the folder. */
  stop(): Promise<void>
}

/**
 * Profiles the measured window only. `--cpu-prof` would include loading modules and the warm-up,
 * which take longer than the window.
 */
export async function createProfiler(
  processes: Deployment['processes'],
  folder: string,
): Promise<Profiler> {
  const sessions = await Promise.all(
    processes
      .filter(({ inspectorUrl }) => inspectorUrl !== undefined)
      .map(async ({ role, pid, inspectorUrl }) => ({
        role,
        pid,
        call: await connect(inspectorUrl as string),
      })),
  )
  return {
    async start() {
      for (const { call } of sessions) {
        await call('Profiler.enable')
        await call('Profiler.start')
      }
    },
    async stop() {
      for (const { role, pid, call } of sessions) {
        const { profile } = (await call('Profiler.stop')) as { profile: unknown }
        writeFileSync(path.join(folder, `${role}-${pid}.cpuprofile`), JSON.stringify(profile))
      }
    },
  }
}

/** Opens an inspector session, which ends with the process. */
async function connect(url: string): Promise<(method: string) => Promise<unknown>> {
  const socket = new WebSocket(url)
  const pending = new Map<number, (result: unknown) => void>()
  let lastId = 0
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown }
    if (id === undefined) return
    pending.get(id)?.(result)
    pending.delete(id)
  })
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true })
    socket.addEventListener('error', () => reject(new Error(`no inspector answers at ${url}`)), {
      once: true,
    })
  })
  return (method) =>
    new Promise((resolve) => {
      const id = ++lastId
      pending.set(id, resolve)
      socket.send(JSON.stringify({ id, method }))
    })
}
