import { expect, onTestFinished } from 'vitest'
import { type Env, type ServiceName, type ServiceProcess, startService } from './processes.ts'

/** Starts a service that must refuse to start. @returns its fatal log messages */
export async function startRefused(service: ServiceName, env: Env): Promise<string[]> {
  const started = await startService(service, env)
  onTestFinished(() => started.kill())
  return fatalMessagesOf(started)
}

/** Waits for a process that must end with exit code 1. @returns its fatal log messages */
export async function fatalMessagesOf({ exited, logs }: ServiceProcess): Promise<string[]> {
  expect((await exited).code).toBe(1)
  return logs.filter(({ level }) => level === 'fatal').map(({ msg }) => msg as string)
}
