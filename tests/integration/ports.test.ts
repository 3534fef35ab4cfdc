import { createServer } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePort, portTrouble, requirePort } from '../../tools/dev-stack/ports.mjs'
import { readHealthPort, readPort } from '../../tools/dev-stack/settings.mjs'

const start = { host: '127.0.0.1', variable: 'PORT', command: 'npm start' }

/** Listens on a port during the test. @returns false if that failed */
async function occupy(port: number): Promise<boolean> {
  const server = createServer()
  onTestFinished(() => void server.close())
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, () => resolve(true))
  })
}

/** The port that the error message proposes. */
async function proposalFor(port: number): Promise<number> {
  const error = await requirePort({ ...start, port }).then(
    () => undefined,
    (reason: Error) => reason,
  )
  return Number(/PORT=(\d+) npm start/.exec(error?.message ?? '')?.[1])
}

describe('the port of a service', () => {
  it('reports a port in use and proposes a free one', async () => {
    const port = await freePort()
    await occupy(port)
    await expect(requirePort({ ...start, port })).rejects.toThrow(`Port ${port} is in use`)
    const proposed = await proposalFor(port)
    expect(await portTrouble(proposed)).toBeUndefined()
  })

  it('is not one that browsers refuse to open, and neither is the proposal', async ({ skip }) => {
    skip((await portTrouble(6665)) !== undefined, 'another program uses port 6665')
    await expect(requirePort({ ...start, port: 6665 })).rejects.toThrow('Browsers refuse')
    // They also refuse 6666 to 6669.
    expect(await proposalFor(6665)).toBeGreaterThan(6669)
  })

  it('is never a free port that the system could give to an outgoing connection', async () => {
    const ports = await Promise.all(Array.from({ length: 50 }, freePort))
    expect(Math.max(...ports)).toBeLessThan(32_768)
    expect(new Set(ports).size).toBeGreaterThan(40)
  })

  it('proposes no port above 65535', async ({ skip }) => {
    skip(!(await occupy(65_535)), 'another program uses port 65535')
    const proposed = await proposalFor(65_535)
    expect(proposed).toBeLessThan(65_535)
    expect(await portTrouble(proposed)).toBeUndefined()
  })

  it('reports "not allowed" if the user may not listen on a low port', async ({ skip }) => {
    skip(
      process.getuid?.() !== 0 && (await portTrouble(81)) === undefined,
      'anybody may use low ports here',
    )
    // Root may use low ports, so the test becomes the user nobody (65534).
    if (process.getuid?.() === 0) {
      process.seteuid?.(65_534)
      onTestFinished(() => process.seteuid?.(0))
    }
    skip((await portTrouble(81)) === undefined, 'anybody may use low ports here')
    await expect(requirePort({ ...start, port: 81 })).rejects.toThrow(
      /not allowed to listen on port 81.*PORT=\d{4}/,
    )
  })

  it('reads and validates PORT and WORKER_PORT', () => {
    expect(readPort({})).toBe(3000)
    expect(readPort({ PORT: ' 8080 ' })).toBe(8080)
    expect(() => readPort({ PORT: '65536' })).toThrow(
      'PORT must be a number from 1 to 65535, not "65536".',
    )
    expect(readHealthPort({}, 'WORKER_PORT')).toBeUndefined()
    expect(readHealthPort({ WORKER_PORT: '0' }, 'WORKER_PORT')).toBeUndefined()
    expect(() => readHealthPort({ WORKER_PORT: 'x' }, 'WORKER_PORT')).toThrow(
      'WORKER_PORT must be a number',
    )
  })
})
