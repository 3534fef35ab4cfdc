import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Deployment } from '../systems/system.ts'

/** Starts a process so that {@link createProfiler} can reach it. */
export const profiledEnv = { NODE_OPTIONS: '--inspect=127.0.0.1:0' }

export interface Profiler {
  start(): Promise<void>
  /** Writes a `.cpuprofile` of every process into the folder. */
  stop(): Promise<void>
}

/**
 * Profiles the window alone: `--cpu-prof` would show the loading of modules and the warm-up as well, which take more
 * time than a window does.
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

/** Opens a session of the inspector protocol; it ends with the process. */
async function connect(url: string): Promise<(method: string) => Promise<unknown>> {
  const socket = new WebSocket(url)
  const waiting = new Map<number, (result: unknown) => void>()
  let lastId = 0
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown }
    if (id === undefined) return
    waiting.get(id)?.(result)
    waiting.delete(id)
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
      waiting.set(id, resolve)
      socket.send(JSON.stringify({ id, method }))
    })
}
