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

Exit code 1: no process has ever started on this database.`,
  options: {},
  run: startEpoch,
}

async function startEpoch(context: Context): Promise<Report> {
  const store = context.installation()
  if (store === undefined) throw new ConfigError('DATABASE_URL is not set')
  const epochs = await store.startEpoch()
  if (epochs === undefined) {
    return {
      exitCode: EXIT.found,
      data: { ok: false, error: 'no installation' },
      text: ['No process has ever started on this database, so nobody has read its changes.'],
    }
  }
  return {
    exitCode: EXIT.fine,
    data: { ok: true, ...epochs },
    text: [`The epoch of the change log was ${epochs.before} and is now ${epochs.epoch}.`],
  }
}
