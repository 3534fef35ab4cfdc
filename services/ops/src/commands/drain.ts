import { ALIVE_MS, createLineRegistry, createRedisClaims } from '@ticket-line/line'
import { commandsIn, countProcesses, readLine, scanKeys } from '@ticket-line/line/inspect'
import { findUnknownLines } from '../check-installation.js'
import type { Context } from '../context.js'
import { EXIT, plural, type Report, seconds } from '../report.js'

export interface DrainArguments {
  timeoutMs: number
  /** Pause between two looks. */
  intervalMs: number
}

/**
 * Waits until all lines are empty. It does not stop intake: for that, stop the API processes, which
 * store the commands that they hold before they end. If no API process runs, the layout may be
 * changed afterwards. Exit code 1 if something is left when the time is over.
 */
export async function drain(context: Context, args: DrainArguments): Promise<Report> {
  const redis = await context.redis()
  const { layout } = context
  const registry = createLineRegistry(redis, layout)
  const startedAtMs = context.now()
  for (;;) {
    // The registry is quick; before an end is announced all keys are gone through.
    let lineNames = await registry.allWithWork()
    if (lineNames.length === 0) {
      lineNames = await registry.withWork([...(await scanKeys(redis, layout)).lineNames])
    }
    const tookMs = context.now() - startedAtMs
    const left = await Promise.all(
      lineNames.slice(0, 1000).map(async (lineName) => ({
        lineName,
        commands: commandsIn(await readLine(redis, lineName, layout)),
      })),
    )
    if (lineNames.length === 0 || tookMs >= args.timeoutMs) {
      const ok = lineNames.length === 0
      const apiProcesses = ok
        ? await countApis(context)
        : ((await countProcesses(redis, layout))?.apis ?? null)
      const layoutReleased = ok && apiProcesses === 0 && (await releaseLayout(context))
      return describe({
        ok,
        tookMs,
        lineCount: lineNames.length,
        left,
        apiProcesses,
        layoutReleased,
      })
    }
    context.progress(
      `${plural(lineNames.length, 'line')} with ${plural(sum(left), 'command')}, ${seconds(tookMs)}`,
    )
    await context.sleep(args.intervalMs)
  }
}

/** Counts API processes that may add commands, by their connections and by their signs of life. */
async function countApis(context: Context): Promise<number> {
  const redis = await context.redis()
  const claims = createRedisClaims(redis, context.layout)
  for (let waitedMs = 0; ; waitedMs += 500) {
    const connected = (await countProcesses(redis, context.layout))?.apis
    const alive = (await claims.look()).others.filter(({ service }) => service === 'api').length
    if ((connected ?? 0) > 0 || alive === 0 || waitedMs > ALIVE_MS)
      return Math.max(connected ?? 0, alive)
    // A process that was killed left its sign of life, which expires soon.
    await context.sleep(500)
  }
}

/**
 * Called when all lines are empty and no API runs: lets the next process that starts record another
 * layout.
 */
async function releaseLayout(context: Context): Promise<boolean> {
  const store = context.installation()
  if ((await store?.read()) === undefined) return false
  if ((await findUnknownLines(await context.redis(), context.layout)).length > 0) return false
  await store?.markDrained()
  return true
}

interface Drained {
  ok: boolean
  tookMs: number
  lineCount: number
  left: { lineName: string; commands: number }[]
  apiProcesses: number | null
  layoutReleased: boolean
}

function sum(left: Drained['left']): number {
  return left.reduce((total, line) => total + line.commands, 0)
}

function describe(drained: Drained): Report {
  const { ok, left, lineCount, apiProcesses, tookMs, layoutReleased } = drained
  const lines = ok
    ? [`All lines are empty after ${seconds(tookMs)}.`]
    : [
        `After ${seconds(tookMs)} ${plural(lineCount, 'line')} still hold ${plural(sum(left), 'command')}:`,
        ...left
          .slice(0, 20)
          .map((line) => `  ${line.lineName}: ${plural(line.commands, 'command')}`),
      ]
  if (apiProcesses !== null && apiProcesses > 0) {
    lines.push(`${plural(apiProcesses, 'API process')} may still take commands in.`)
  }
  if (layoutReleased) lines.push('SHARED_LINES, SHARDS and KEY_PREFIX may be changed now.')
  return { exitCode: ok ? EXIT.fine : EXIT.found, data: { ...drained }, lines }
}
