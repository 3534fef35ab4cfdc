import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'

const version = /nginx\/(\d+)\.(\d+)/.exec(spawnSync('nginx', ['-v']).stderr?.toString() ?? '')
export const hasNginx = version !== null
/** Older versions have HTTP/2 as a parameter of `listen`. */
const hasHttp2 = Number(version?.[1] ?? 0) * 1000 + Number(version?.[2] ?? 0) >= 1025

export interface Nginx {
  url: string
  /** The certificate of `https`, as PEM. It is its own authority. */
  ca: string
}

/** A certificate for localhost, made as the documentation says. @returns its folder */
export function makeCertificate(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'certificate-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const made = spawnSync('sh', [fromRoot('deploy/nginx/localhost-certificate.sh'), folder])
  if (made.status !== 0) throw new Error(`no certificate: ${made.stderr}`)
  return folder
}

/** Starts a server in place of the API, which responds with the headers that it got. */
export async function startEcho(): Promise<string> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(request.headers))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Writes the configuration of Compose with other paths and ports. @returns its folder */
export async function writeConfiguration(apiUrl: string, certificates = '') {
  const folder = mkdtempSync(path.join(tmpdir(), 'nginx-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const [http, https] = [await freePort(), await freePort()]
  for (const name of readdirSync(fromRoot('deploy/nginx')).filter((name) => /conf$/.test(name))) {
    const text = readFileSync(fromRoot('deploy/nginx', name), 'utf8')
      .replaceAll(' /tmp/', ` ${folder}/`)
      // Outside of Docker, this may be a socket, which nginx cannot open by its path.
      .replace('/dev/stderr', 'stderr')
      .replace('set $api api:3000;', `set $api ${new URL(apiUrl).host};`)
      .replace('listen 8080 ', `listen 127.0.0.1:${http} `)
      .replace('listen 8443 ssl ', `listen 127.0.0.1:${https} ssl ${hasHttp2 ? '' : 'http2 '}`)
      .replace('http2 on;', hasHttp2 ? 'http2 on;' : '')
      .replaceAll('/etc/ticket-line-tls', certificates)
      .replaceAll('/etc/ticket-line', folder)
    writeFileSync(path.join(folder, name), text)
  }
  return { folder, http, https }
}

/** Starts start.sh with these settings. The caller ends the process. */
export function startScript(folder: string, server: string, settings: Record<string, string>) {
  return spawn('sh', [fromRoot('deploy/nginx/start.sh'), server], {
    env: {
      PATH: process.env['PATH'],
      CONFIGURATION: folder,
      SETTINGS: path.join(folder, 'settings'),
      ...settings,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
}

/** Runs the nginx of Compose in front of an API. */
export async function startNginx(
  apiUrl: string,
  server: 'http' | 'https',
  settings: Record<string, string> = {},
): Promise<Nginx> {
  const certificates = server === 'https' ? makeCertificate() : ''
  const { folder, http, https } = await writeConfiguration(apiUrl, certificates)
  const nginx = startScript(folder, server, {
    ...(server === 'https' && { COMPOSE_PROFILES: 'tls', CERTIFICATES: certificates }),
    ...settings,
  })
  nginx.stderr.pipe(process.stderr)
  onTestFinished(async () => {
    if (nginx.kill('SIGTERM') && nginx.exitCode === null) await once(nginx, 'exit')
  })
  const port = server === 'https' ? https : http
  // Whatever it answers, it listens.
  const isUp = () =>
    fetch(`http://127.0.0.1:${port}/livez`, { redirect: 'manual' }).then(() => true)
  if (!(await until(isUp, { timeoutMs: 5000 }))) throw new Error('nginx does not answer')
  const ca =
    certificates === '' ? '' : readFileSync(path.join(certificates, 'fullchain.pem'), 'utf8')
  return { url: `${server}://127.0.0.1:${port}`, ca }
}
