/**
 * A process that floods an API with sign-ins. It starts when it receives the base URL and ends on
 * `'stop'`, when it reports the number of responses by status.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '../../stack/client.ts'

/** Far more sign-ins than the API runs and queues at once. */
const FLOODERS = 400

const answers: Record<number, number> = {}
let flooding = true

async function flood(baseUrl: string): Promise<void> {
  const client = createClient(baseUrl)
  while (flooding) {
    const { status, headers } = await client.post('/login', {
      userId: 'ann',
      password: 'wrong horse battery',
    })
    answers[status] = (answers[status] ?? 0) + 1
    if (status === 503) await sleep(Number(headers.get('retry-after')) * 1000)
  }
}

process.on('message', (message: string) => {
  if (message !== 'stop') {
    for (let i = 0; i < FLOODERS; i++) {
      flood(message).catch((error) => {
        // After a stop, the API may end before it answers the last requests.
        if (flooding) throw error
      })
    }
    return
  }
  flooding = false
  process.send?.(answers)
  process.disconnect()
})
