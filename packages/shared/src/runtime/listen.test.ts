import { createServer } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { ConfigError } from './env.js'
import { listenOn } from './listen.js'

function listen(host: string, port: number): Promise<number> {
  const server = createServer()
  onTestFinished(() => void server.close())
  return listenOn(server, { host, port, hostVariable: 'HOST', portVariable: 'PORT' })
}

it('listens on a free port if the port is 0', async () => {
  expect(await listen('127.0.0.1', 0)).toBeGreaterThan(0)
})

it.each(['x86_64-conda-linux-gnu', '192.0.2.1', 'not a host'])(
  'names the variable if this machine does not have the host %s',
  async (host) => {
    await expect(listen(host, 0)).rejects.toThrow(
      new ConfigError(`HOST must be an address of this machine, or a name of one, not "${host}"`),
    )
  },
)

it('names the variable if the port is in use', async () => {
  const port = await listen('127.0.0.1', 0)
  await expect(listen('127.0.0.1', port)).rejects.toThrow(
    new ConfigError(`PORT ${port} is in use on 127.0.0.1`),
  )
})
