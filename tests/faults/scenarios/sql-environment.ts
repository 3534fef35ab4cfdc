import { setTimeout as sleep } from 'node:timers/promises'
import { check } from '../check/check.ts'
import { breakSql, SQL_FAULTS } from '../injection/sql-faults.ts'
import { loadEvents } from '../load/event-loads.ts'
import { openTestbed } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const EVENTS = 3
const BROKEN_FOR_MS = 10_000
const SERVED_WITHIN_MS = 8000

export const sqlEnvironment: Scenario = {
  name: 'sql-environment',
  proves:
    'While correct statements fail because of their environment (stale plans, grants, a pooler, a trigger that an operator added), no command is rejected. All are decided within 8 s of the end of the fault.',
  async run({ scale, log }) {
    const testbed = await openTestbed({ env: { RESULT_WAIT_MS: '500' } })
    const { fleet, history } = testbed
    const servedAfterMs: number[] = []
    try {
      const loads = await loadEvents(testbed, EVENTS)
      for (const fault of SQL_FAULTS) {
        await sleep(1000)
        const end = await breakSql(fleet.postgres.url, fault)
        await sleep(Math.max(2000, BROKEN_FOR_MS * scale))
        await end()
        const servedMs = await loads.allServed(performance.now())
        servedAfterMs.push(servedMs)
        log(`${fault}: all events served ${Math.round(servedMs)} ms after its end`)
      }
      await loads.stop()
      const evidence = await testbed.collectEvidence()
      const rejected = evidence.rows.commands.filter(({ outcome }) => outcome === 'rejected').length
      const served = spreadOf(servedAfterMs)
      return {
        figures: { requests: history.commands.length, rejected, allServedMostMs: served.most },
        missed: [
          ...atMost('healthy commands that were rejected', rejected, 0),
          ...atMost('time until every event is served again, ms', served.most, SERVED_WITHIN_MS),
        ],
        findings: check(evidence),
      }
    } finally {
      await testbed.close()
    }
  },
}
