import type { AddressInfo, Server } from 'node:net'
import { ConfigError } from './env.js'

/** The address on which a process listens, and the environment variables that set it. */
export interface ListenAddress {
  host: string
  /** 0 picks a free port. */
  port: number
  hostVariable: string
  portVariable: string
}

/**
 * Starts to listen.
 *
 * @returns the port
 * @throws ConfigError naming the variable if this process cannot listen on the address
 */
export async function listenOn(server: Server, address: ListenAddress): Promise<number> {
  const { host, port } = address
  await new Promise<void>((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => reject(unlistenable(error, address))
    server.once('error', fail)
    server.listen(port, host, () => {
      server.off('error', fail)
      resolve()
    })
  })
  return (server.address() as AddressInfo).port
}

function unlistenable(error: NodeJS.ErrnoException, address: ListenAddress): Error {
  const { host, port, hostVariable, portVariable } = address
  switch (error.code) {
    case 'EADDRINUSE':
      return new ConfigError(`${portVariable} ${port} is in use on ${host}`, { cause: error })
    case 'EACCES':
      return new ConfigError(`this user is not allowed to listen on ${portVariable} ${port}`, {
        cause: error,
      })
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'EAI_AGAIN':
    case 'EINVAL':
    case 'ENOTFOUND':
      return new ConfigError(
        `${hostVariable} must be an address of this machine, or a name of one, not "${host}"`,
        { cause: error },
      )
    default:
      return error
  }
}
