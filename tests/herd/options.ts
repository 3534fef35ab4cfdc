import { parseArgs } from 'node:util'

export interface HerdOptions {
  buyers: number
  tickets: number
  connections: number
  /** How many booked tickets are cancelled afterwards. */
  cancel: number
  /** Ask with `Prefer: respond-async` and poll the jobs. */
  async: boolean
  /** Print the report as JSON and nothing else. */
  json: boolean
  /** Processes to start; of no effect with BASE_URL. */
  apis: number
  workers: number
}

export const usage = `npm run herd -- [options]

Sends a crowd of buyers at one fresh event and checks every promise that its answers and lists can show.
Starts a system of its own, or takes the one at BASE_URL (several addresses, separated by commas, share the crowd);
tokens are signed with JWT_SECRET, or the secret that npm start keeps in .data/.

  --buyers N       default 5000        --connections N  default 128
  --tickets N      default 500         --cancel N       booked tickets to cancel, default 50
  --async          respond-async and polling instead of waiting for each answer
  --apis N         --workers N         processes of the system it starts, default 1 each
  --json           the report as JSON`

/** @throws with a sentence for the person who typed it */
export function readOptions(args: string[]): HerdOptions | 'help' {
  const number = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const { values } = parseArgs({
    args,
    options: {
      buyers: number,
      tickets: number,
      connections: number,
      cancel: number,
      apis: number,
      workers: number,
      async: flag,
      json: flag,
      help: { ...flag, short: 'h' },
    },
  })
  if (values.help) return 'help'
  const buyers = whole('buyers', values.buyers, 5000, 1)
  const tickets = whole('tickets', values.tickets, 500, 0)
  return {
    buyers,
    tickets,
    connections: whole('connections', values.connections, 128, 1),
    cancel: Math.min(whole('cancel', values.cancel, 50, 0), tickets, buyers),
    async: values.async,
    json: values.json,
    apis: whole('apis', values.apis, 1, 1),
    workers: whole('workers', values.workers, 1, 1),
  }
}

function whole(name: string, text: string | undefined, fallback: number, min: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= min) return value
  throw new Error(`--${name} must be a whole number from ${min} on, not "${text}"`)
}
