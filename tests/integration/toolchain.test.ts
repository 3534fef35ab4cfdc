import { execFile } from 'node:child_process'
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
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromRoot } from '../../scripts/lib/paths.mjs'
import { run } from '../../scripts/lib/run.mjs'
import { withoutNpmVariables } from '../../scripts/lib/toolchain.mjs'

const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-toolchain-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Settings that a person may have in their npm configuration, all of them against us. */
const unwilling = 'ignore-scripts=true\nomit[]=optional\nbin-links=false\npackage-lock-only=false\n'

/** The first bytes of what `name` on the toolchain's PATH really is. */
function magicOf(file: string): string {
  const bytes = Buffer.alloc(4)
  readSync(openSync(realpathSync(file), 'r'), bytes, 0, 4, 0)
  return bytes.toString('latin1')
}

describe('the toolchain', () => {
  const npm12 = path.join(folder, 'npm12')
  beforeAll(async () => {
    await run('npm', ['install', '--prefix', npm12, '--no-save', '--loglevel=error', 'npm@12'], {
      env: withoutNpmVariables(process.env),
    })
  }, 60_000)

  it('brings a pnpm that needs no shell, with npm 12 and with npm settings that forbid install scripts', async () => {
    const clone = path.join(folder, 'clone')
    cpSync(fromRoot('scripts'), path.join(clone, 'scripts'), { recursive: true })
    const settings = path.join(folder, 'npmrc')
    writeFileSync(settings, unwilling)
    const script = `
      const { ensureToolchain } = await import(${JSON.stringify(path.join(clone, 'scripts/lib/toolchain.mjs'))})
      process.stdout.write(JSON.stringify((await ensureToolchain()).env.PATH.split(':').slice(0, 2)))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      cwd: clone,
      env: {
        ...withoutNpmVariables(process.env),
        PATH: `${npm12}/node_modules/.bin:${process.env['PATH']}`,
        NPM_CONFIG_USERCONFIG: settings,
      },
    })
    const folders: string[] = JSON.parse(stdout.split('\n').at(-1) ?? '')
    const pnpm = folders.map((name) => path.join(name, 'pnpm')).find((file) => existsSync(file)) ?? ''

    expect(magicOf(pnpm)).not.toMatch(/^[\x20-\x7e\s]+$/)
    expect((await run(pnpm, ['--version'])).trim()).toMatch(/^\d+\.\d+\.\d+$/)
  }, 120_000)
})
