import { run, works } from './run.mjs'

/** The same image as in docker-compose.yml. */
export const redisImage = 'redis:7.4-alpine'

/** Whether a Docker engine answers (the command alone is often there without one). */
export function dockerAnswers() {
  return works('docker', ['version', '--format', '{{.Server.Version}}'])
}

/** @param {string} text */
const csvField = (text) => `"${text.replaceAll('"', '""')}"`

/**
 * How to run redis-server in a container with its data in `folder`, the process here being the docker client: a SIGTERM to it goes on
 * to the container.
 *
 * @param {{ folder: string, port: number, name: string }} options
 */
export function redisInDocker({ folder, port, name }) {
  const user =
    process.getuid === undefined ? [] : ['--user', `${process.getuid()}:${process.getgid?.()}`]
  const container = [
    '--rm',
    '-i',
    '--name',
    name,
    '-p',
    `127.0.0.1:${port}:6379`,
    // Unlike -v, which splits at colons, --mount takes any path: it reads CSV.
    '--mount',
    ['type=bind', `source=${folder}`, 'target=/data'].map(csvField).join(','),
    ...user,
  ]
  return {
    command: 'docker',
    args: ['run', ...container, redisImage, 'redis-server', '-'],
    inside: { port: 6379, dir: '/data', bind: '0.0.0.0' },
    kill: () => run('docker', ['kill', name]),
    pause: () => run('docker', ['pause', name]),
    resume: () => run('docker', ['unpause', name]),
    removeStale: () => run('docker', ['rm', '-f', name]).catch(() => ''),
  }
}
