import { requireRecovery } from '@ticket-line/line/inspect'
import { ConfigError } from '@ticket-line/shared'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { EXIT, type Report } from '../report.js'

export const newEpoch: Command = {
  name: 'new-epoch',
  summary: 'start a new epoch of the change log, after an older database was restored',
  usage: `new-epoch [--json]

Gives the change log a new epoch. Run it once after an older copy of the database was restored,
before its workers decide anything: they give out the numbers of lost changes again. Clients
that read changes then get 410 epoch_changed and have to start over. Webhooks do not repeat
what they delivered, and go on with the changes that are decided from now on.

Commands that were decided after the copy was made may be accepted and undecided in it. They
are decided again before anything else: new-epoch removes all finished jobs from Redis, and the
first process that starts adds what the lines lack.

Exit code 1: no process has ever started on this database.`,
  options: {},
  run: startEpoch,
}

async function startEpoch(context: Context): Promise<Report> {
  const store = context.installation()
  if (store === undefined) throw new ConfigError('DATABASE_URL is not set')
  // Nothing is changed if Redis cannot be reached.
  const redis = (await context.anyRedis()) && (await context.redis())
  const epochs = await store.startEpoch()
  if (epochs === undefined) {
    return {
      exitCode: EXIT.found,
      data: { ok: false, error: 'no installation' },
      text: ['No process has ever started on this database, so nobody has read its changes.'],
    }
  }
  if (redis !== undefined) await requireRecovery(redis, context.layout)
  return {
    exitCode: EXIT.fine,
    data: { ok: true, ...epochs },
    text: [`The epoch of the change log was ${epochs.before} and is now ${epochs.epoch}.`],
  }
}
