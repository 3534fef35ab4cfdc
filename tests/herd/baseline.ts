import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type MedianRatio, medianRatio } from '../bench/report/median-ratio.ts'
import { buildCommit, findCommit } from '../stack/commit-build.ts'
import { type Build, ownBuild } from '../stack/processes.ts'
import { startServers } from '../stack/servers.ts'
import { startSystem } from '../stack/system.ts'
import { herd } from './herd.ts'
import type { HerdOptions } from './options.ts'

const ROUNDS = 9

export interface HerdComparison {
  baseline: string
  rounds: number
  /** Above 1 if this build makes more bookings per second. */
  bookingsPerSecond: MedianRatio
  /** Broken promises of either build. */
  problems: string[]
}

/**
 * `--baseline COMMIT`: builds the product of that commit and runs the same herd against both builds
 * in alternating rounds, each on a new system.
 *
 * @throws Error if the commit is unknown or does not build
 */
export async function compareHerds(
  baseline: string,
  options: HerdOptions,
  say: (line: string) => void,
): Promise<HerdComparison> {
  const commit = await findCommit(baseline)
  if (commit === undefined)
    throw new Error(`--baseline: this repository has no commit "${baseline}"`)
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-baseline-'))
  const servers = await startServers()
  const problems: string[] = []

  async function bookingsPerSecond(build: Build): Promise<number> {
    const { apis, workers } = options
    const system = await startSystem({
      servers,
      build,
      apis,
      workers,
      env: { NODE_ENV: 'production' },
    })
    try {
      const report = await herd({
        ...options,
        startAfterS: 0,
        baseUrls: system.apis.map((api) => api.url),
        jwtSecret: system.jwtSecret,
        progressTo: undefined,
      })
      problems.push(...report.problems)
      return report.bookingsPerSecond
    } finally {
      await system.stop()
    }
  }

  try {
    const name = commit.slice(0, 7)
    say(`Building the product of ${name} …`)
    const other = await buildCommit(commit, folder, ['api', 'booking-worker'])
    const ratios: number[] = []
    for (let round = 1; round <= ROUNDS; round++) {
      const measured = new Map<Build, number>()
      for (const build of round % 2 === 1 ? [ownBuild, other] : [other, ownBuild])
        measured.set(build, await bookingsPerSecond(build))
      const [own, before] = [measured.get(ownBuild) ?? 0, measured.get(other) ?? 0]
      say(`  ${round}: ${own} bookings/s, ${name} ${before}`)
      ratios.push(own / before)
    }
    return {
      baseline: commit,
      rounds: ROUNDS,
      bookingsPerSecond: medianRatio(ratios),
      problems,
    }
  } finally {
    await servers.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
