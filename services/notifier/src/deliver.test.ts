import type { Pool } from '@ticket-line/db'
import { expect, it, vi } from 'vitest'
import { createDeliver } from './deliver.js'
import type { Endpoint } from './endpoints.js'
import type { Send } from './send.js'
import type { Slots } from './slots.js'

const ENDPOINT = {
  webhookId: 'hook',
  format: 'single',
  disabledReason: null,
  secrets: ['whsec_AAAA'],
  wants: () => true,
} as unknown as Endpoint

/** A cursor with one change to deliver, as the statement that claims it returns it. */
const CLAIMED = {
  delivered_no: '0',
  announced_no: '1',
  batch_to: null,
  attempts: 0,
  failing_since_ms: null,
  epoch: 'epoch',
  is_of_epoch: true,
  is_staff: true,
  no: '1',
  at_ms: 0,
  type: 'event.sold_out',
  user_id: null,
  sequence: null,
  actor: null,
  command_id: null,
  data: null,
}

it.each([
  ['sends a change if its claim has just begun', 4000, ENDPOINT, 1, 'webhooks_move'],
  ['sends nothing if the request could outlast the claim', 6000, ENDPOINT, 0, 'webhooks_claim'],
  [
    'gives a change back, without an attempt, if its secret cannot be read',
    4000,
    { ...ENDPOINT, secrets: undefined },
    0,
    'webhooks_give_back',
  ],
])('%s', async (_, claimTookMs, endpoint, requests, lastStatement) => {
  let nowMs = 0
  const statements: string[] = []
  const query = async ({ name }: { name: string }) => {
    statements.push(name)
    if (name !== 'webhooks_claim') return { rows: [{ is_due: false }] }
    nowMs += claimTookMs
    return { rows: [CLAIMED] }
  }
  const send = vi.fn<Send>(async () => ({
    kind: 'delivered',
    status: 204,
    error: null,
    tookMs: 1,
  }))
  const deliver = createDeliver({
    pool: { query } as unknown as Pool,
    endpoints: { find: async () => endpoint },
    slots: { succeeded: () => undefined } as unknown as Slots,
    send,
    onDelivered: () => undefined,
    onFailed: () => undefined,
    onParked: () => undefined,
    stopping: new AbortController().signal,
    clock: { steadyMs: () => nowMs, wallMs: () => nowMs },
  })

  await deliver({ webhookId: 'hook', eventId: 1 })

  expect(send).toHaveBeenCalledTimes(requests)
  expect(statements.at(-1)).toBe(lastStatement)
})
