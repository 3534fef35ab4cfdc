import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'

/** What the measurements run on, in words. */
export interface Machine {
  cores: string
  servers: string
}

/** What was measured when and where: "Measured on 2026-11-30 on commit 0214ed1: 2 cores of …". */
export function conditions({ cores, servers }: Machine, more: string[]): string {
  const parts = [
    `${cores} of ${cpus()[0]?.model.trim() ?? 'an unknown processor'}`,
    `Node ${process.versions.node}`,
    servers,
    ...more,
  ]
  const date = new Date().toISOString().slice(0, 10)
  return wrap(`Measured on ${date} on ${commit()}: ${parts.join('; ')}.`)
}

/** How many rounds the figures are from, in words. */
export function roundsText(rounds: number): string {
  return rounds === 1 ? 'one round' : `medians of ${rounds} rounds`
}

/** The commit of this checkout, and whether the measured code has changed since. */
function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: fromRoot(), encoding: 'utf8', stdio: 'pipe' }).trim()
  try {
    const name = git('rev-parse', '--short=7', 'HEAD')
    const changed = git('status', '--porcelain', '--', 'packages', 'services', 'tests/bench')
    return changed === '' ? `commit ${name}` : `commit ${name} with changes`
  } catch {
    return 'an unknown commit'
  }
}

/** Breaks a paragraph into lines of at most 100 characters. */
function wrap(text: string): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines.at(-1) as string
    if (last !== '' && last.length + 1 + word.length > 100) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines.join('\n')
}
