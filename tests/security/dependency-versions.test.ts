import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

/** Versions below these have published advisories. */
const FLOORS: [name: string, floor: string][] = [
  ['hono', '4.13.18'],
  ['@hono/node-server', '2.1.7'],
  ['drizzle-orm', '0.45.2'],
  ['bullmq', '6.0.7'],
]

/** Every version of a package in the lockfile, whichever package depends on it. */
function lockedVersions(name: string, lockfile: string): string[] {
  const line = new RegExp(`^  '?${name}@(\\d+\\.\\d+\\.\\d+[^':(]*)`, 'gm')
  return [...new Set([...lockfile.matchAll(line)].map(([, version = '']) => version))]
}

/** Whether a version is `floor` or later. A prerelease of `floor` is earlier. */
function isAtLeast(version: string, floor: string): boolean {
  const [numbers = '', prerelease] = version.split('-')
  const parts = numbers.split('.').map(Number)
  const wanted = floor.split('.').map(Number)
  const differing = parts.findIndex((part, index) => part !== wanted[index])
  if (differing === -1) return prerelease === undefined
  return (parts[differing] ?? 0) > (wanted[differing] ?? 0)
}

it.each(FLOORS)('locks %s at %s or later everywhere', (name, floor) => {
  const versions = lockedVersions(name, readFileSync(fromRoot('pnpm-lock.yaml'), 'utf8'))
  expect(versions.length, 'found in the lockfile').toBeGreaterThan(0)
  for (const version of versions) expect(isAtLeast(version, floor), version).toBe(true)
})

it('compares versions by number and treats a prerelease as older', () => {
  expect(isAtLeast('4.13.18', '4.13.18')).toBe(true)
  expect(isAtLeast('4.14.0', '4.13.18')).toBe(true)
  expect(isAtLeast('5.0.0', '4.13.18')).toBe(true)
  expect(isAtLeast('4.13.17', '4.13.18')).toBe(false)
  expect(isAtLeast('4.9.99', '4.13.18')).toBe(false)
  expect(isAtLeast('4.13.18-rc.1', '4.13.18')).toBe(false)
})
