import { execFile } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { run } from '../../tools/dev-stack/commands.mjs'
import { reachesRegistry, runDownload } from '../../tools/dev-stack/download.mjs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { withoutNpmVariables } from '../../tools/dev-stack/toolchain.mjs'

const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-toolchain-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** npm settings of a user that would break an ordinary installation. */
const hostileSettings =
  'ignore-scripts=true\nomit[]=optional\nbin-links=false\npackage-lock-only=false\n'

/** The first four bytes of a file, after its symlinks. */
function magicOf(file: string): string {
  const bytes = Buffer.alloc(4)
  readSync(openSync(realpathSync(file), 'r'), bytes, 0, 4, 0)
  return bytes.toString('latin1')
}

describe('the toolchain', () => {
  const npm12 = path.join(folder, 'npm12')
  let fetched = true
  beforeAll(async () => {
    const flags = ['--no-save', '--loglevel=error', '--prefer-offline', '--fetch-retries=0']
    await run('npm', ['install', '--prefix', npm12, ...flags, 'npm@12'], {
      env: withoutNpmVariables(process.env),
    }).catch((error) => {
      if (process.env['CI']) throw error
      fetched = false
    })
  }, 120_000)

  it('installs a native pnpm with npm 12 and npm settings that forbid install scripts', async ({
    skip,
  }) => {
    skip(!fetched, 'npm 12 cannot be downloaded here')
    const clone = path.join(folder, 'clone')
    cpSync(fromRoot('tools'), path.join(clone, 'tools'), { recursive: true })
    const settings = path.join(folder, 'npmrc')
    writeFileSync(settings, hostileSettings)
    const script = `
      const { ensureToolchain } = await import(${JSON.stringify(path.join(clone, 'tools/dev-stack/toolchain.mjs'))})
      process.stdout.write(JSON.stringify((await ensureToolchain()).env.PATH.split(':').slice(0, 2)))`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', script],
      {
        cwd: clone,
        env: {
          ...withoutNpmVariables(process.env),
          PATH: `${npm12}/node_modules/.bin:${process.env['PATH']}`,
          NPM_CONFIG_USERCONFIG: settings,
        },
      },
    )
    const folders: string[] = JSON.parse(stdout.split('\n').at(-1) ?? '')
    const pnpm =
      folders.map((name) => path.join(name, 'pnpm')).find((file) => existsSync(file)) ?? ''

    expect(magicOf(pnpm)).not.toMatch(/^[\x20-\x7e\s]+$/)
    expect((await run(pnpm, ['--version'])).trim()).toMatch(/^\d+\.\d+\.\d+$/)
  }, 120_000)
})

describe('a download of packages', () => {
  const shortTimes = { firstAfterMs: 1, everyMs: 1, giveUpAfterMs: 100 }
  const withRegistry = (port: number) => ({
    env: { ...withoutNpmVariables(process.env), npm_config_registry: `http://127.0.0.1:${port}/` },
  })

  it('ends a download with a hint if the registry does not answer', async () => {
    const write = vi.spyOn(process.stdout, 'write')
    onTestFinished(() => write.mockRestore())
    const port = await freePort()

    const download = runDownload('sleep', ['600'], withRegistry(port), shortTimes)

    await expect(download).rejects.toThrow(
      `http://127.0.0.1:${port}/ has not answered for 0 minutes. The first start needs a network. Behind a proxy, set HTTPS_PROXY`,
    )
    const hints = write.mock.calls.filter(([text]) => String(text).includes('No answer from'))
    expect(hints).toHaveLength(1)
  })

  it('continues a download for as long as the registry answers', async () => {
    let checks = 0
    const reaches = async () => ++checks > 0
    const output = await runDownload('sh', ['-c', 'sleep 0.5; echo done'], withRegistry(1), {
      ...shortTimes,
      reaches,
    })
    expect(output).toBe('done\n')
    expect(checks).toBeGreaterThan(1)
  })

  it('counts an HTTP error of the registry as an answer', async () => {
    const registry = createServer((_request, response) => response.writeHead(404).end('{}'))
    registry.listen(0, '127.0.0.1')
    await once(registry, 'listening')
    onTestFinished(() => void registry.close())
    const { port } = registry.address() as AddressInfo
    const { signal } = new AbortController()

    expect(await reachesRegistry(withRegistry(port).env, signal, 30_000)).toBe(true)
    expect(await reachesRegistry(withRegistry(await freePort()).env, signal, 30_000)).toBe(false)
  })
})
