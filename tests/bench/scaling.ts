import type { Servers } from '../stack/servers.ts'
import type { Contender } from './contender.ts'
import type { Appendfsync } from './measure/appendfsync.ts'
import { conditions, type Machine, roundsText } from './report/conditions.ts'
import { writeMarked } from './report/marked.ts'
import { table } from './report/tables.ts'
import { describeRun, short, whole } from './report/text.ts'
import { type Figures, type Result, runWorkload } from './rounds.ts'
import type { DeployOptions } from './systems/system.ts'
import { productContender, type WorkloadSettings } from './workloads.ts'

/** The page that `--workload scaling --write` writes. */
export const SCALING_PAGE = 'docs/scaling.md'

/** A way to run the product. */
interface Setting {
  label: string
  deploy?: Omit<DeployOptions, 'servers'>
  /** Default: `everysec`, as in Compose and `npm start`. */
  appendfsync?: Appendfsync
}

const DEFAULTS: Setting = { label: 'defaults: a line per event, one API process, one worker' }
const sharedLines = (lines: number): Setting => ({
  label: `\`SHARED_LINES=${lines}\``,
  deploy: { env: { SHARED_LINES: String(lines) } },
})
const OTHERS: Setting[] = [
  { label: 'two workers', deploy: { workers: 2 } },
  { label: 'two API processes', deploy: { processes: 2 } },
  { label: 'Redis with `appendfsync always`', appendfsync: 'always' },
]

interface Load {
  title: string
  events: number
  connections: number
  settings: Setting[]
}

const loads: Load[] = [
  {
    title: '100 busy events, 64 clients',
    events: 100,
    connections: 64,
    settings: [DEFAULTS, ...[1, 2, 4].map(sharedLines), ...OTHERS],
  },
  {
    title: '100 busy events, 512 clients',
    events: 100,
    connections: 512,
    settings: [DEFAULTS, ...[1, 2, 4].map(sharedLines), ...OTHERS],
  },
  {
    title: 'one hot event, 256 clients',
    events: 1,
    connections: 256,
    settings: [DEFAULTS, ...OTHERS],
  },
]

export interface ScalingOptions {
  servers: Servers
  rounds: number
  settings: WorkloadSettings
  machine: Machine
  /** Writes the table to `SCALING_PAGE`. */
  write: boolean
  say: (text: string) => void
}

/** Measures what each way to scale the product gains. @returns whether all runs were correct */
export async function measureScaling(options: ScalingOptions): Promise<boolean> {
  const { servers, rounds, settings, machine, write, say } = options
  const results: { title: string; result: Result }[] = []
  for (const { title, events, connections, settings: ways } of loads) {
    say(`${title}:`)
    const contenders = ways.map(
      ({ label, deploy, appendfsync = 'everysec' }): Contender => ({
        ...productContender(label, { events, connections }, settings, deploy),
        appendfsync,
      }),
    )
    const result = await runWorkload(
      { name: 'scaling', title, contenders },
      {
        servers,
        rounds,
        onRun: (round, contender, run) => say(describeRun(round, contender, run)),
      },
    )
    results.push({ title, result })
  }
  const measured = scalingTable(results)
  say(`\n${measured}`)
  const isCorrect = results.every(({ result }) =>
    result.contenders.every(({ figures }) => figures.correct),
  )
  if (write && !isCorrect)
    throw new Error(`${SCALING_PAGE} is not written, because a run was not correct`)
  if (write) {
    const runs = [roundsText(rounds), 'Redis with `appendfsync everysec`']
    const parts = [conditions(machine, runs), measured, LEGEND]
    writeMarked(SCALING_PAGE, { measured: `\n${parts.join('\n\n')}\n` })
    say(`Written to ${SCALING_PAGE}`)
  }
  return isCorrect
}

const LEGEND = `*Commands per job* is the average of \`ticket_line_decided_job_commands\`. *CPU* is that of all
processes for a booking, and *cores* says how many cores each kind of process kept busy.`

const ROLES = ['api', 'worker', 'redis', 'postgres'] as const

function scalingTable(results: { title: string; result: Result }[]): string {
  const head = ['load', 'setting', 'bookings/s', '', 'p99 ms', 'commands per job', 'CPU ms']
  return table(
    [...head, 'cores: API', 'worker', 'Redis', 'PostgreSQL'],
    results.flatMap(({ title, result: { contenders } }) =>
      contenders.map(({ contender, figures }, i) => [
        i === 0 ? title : '',
        contender.label,
        whole(figures.bookingsPerSecond),
        i === 0 ? '' : ratioToFirst(figures, contenders[0]?.figures),
        short(figures.p99Ms),
        short(figures.commandsPerJob),
        short(figures.cpuMsPerBooking),
        ...ROLES.map((role) => coresOf(figures, role)),
      ]),
    ),
  )
}

function ratioToFirst(figures: Figures, first: Figures | undefined): string {
  return `${(figures.bookingsPerSecond / (first?.bookingsPerSecond ?? Number.NaN)).toFixed(2)} ×`
}

/** How many cores a kind of process kept busy. */
function coresOf(
  { cpuMsPerBookingOf, bookingsPerSecond }: Figures,
  role: (typeof ROLES)[number],
): string {
  const ms = cpuMsPerBookingOf[role]
  return ms === undefined ? '–' : ((ms * bookingsPerSecond) / 1000).toFixed(2)
}
