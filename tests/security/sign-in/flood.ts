/** A process that floods sign-ins from when it is told where until it is told to stop, and reports what was answered. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '../../stack/client.ts'

/** Far more than hash at once and wait for it. */
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
        // The API may be gone before the last requests of a flood that was stopped are answered.
        if (flooding) throw error
      })
    }
    return
  }
  flooding = false
  process.send?.(answers)
  process.disconnect()
})
