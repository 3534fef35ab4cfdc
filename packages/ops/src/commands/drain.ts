import { createLineRegistry } from '@ticket-line/shared'
import type { Context } from '../context.js'
import { countProcesses } from '../lines/clients.js'
import { commandsIn, readLine } from '../lines/line-contents.js'
import { scanKeys } from '../lines/scan.js'
import { EXIT, plural, type Report, seconds } from '../report.js'

export interface DrainArguments {
  timeoutMs: number
  /** Pause between two looks. */
  intervalMs: number
}

/**
 * Waits until nothing stands in any line. It does not stop intake: that is done by stopping the API processes, which
 * store what they hold before they end. Exit code 1 where something is left when the time is over.
 */
export async function drain(context: Context, args: DrainArguments): Promise<Report> {
  const redis = await context.redis()
  const { layout } = context
  const registry = createLineRegistry(redis, layout)
  const startedAtMs = context.now()
  const apiProcesses = (await countProcesses(redis, layout))?.apis ?? null
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
      return describe({ ok: lineNames.length === 0, tookMs, lineCount: lineNames.length, left, apiProcesses })
    }
    context.progress(
      `${plural(lineNames.length, 'line')} with ${plural(sum(left), 'command')}, ${seconds(tookMs)}`,
    )
    await context.sleep(args.intervalMs)
  }
}

interface Drained {
  ok: boolean
  tookMs: number
  lineCount: number
  left: { lineName: string; commands: number }[]
  apiProcesses: number | null
}

function sum(left: Drained['left']): number {
  return left.reduce((total, line) => total + line.commands, 0)
}

function describe(drained: Drained): Report {
  const { ok, left, lineCount, apiProcesses, tookMs } = drained
  const lines = ok
    ? [`All lines are empty after ${seconds(tookMs)}.`]
    : [
        `After ${seconds(tookMs)} ${plural(lineCount, 'line')} still hold ${plural(sum(left), 'command')}:`,
        ...left.slice(0, 20).map((line) => `  ${line.lineName}: ${plural(line.commands, 'command')}`),
      ]
  if (apiProcesses !== null && apiProcesses > 0) {
    lines.push(`${plural(apiProcesses, 'API process')} may still take commands in.`)
  }
  return { exitCode: ok ? EXIT.fine : EXIT.found, data: { ...drained }, lines }
}
