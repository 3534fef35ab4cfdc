import { vi } from 'vitest'

// What the line's code imports instead of being given: statements and randomness.
vi.mock('@ticket-line/db', async (original) => ({
  ...(await original<object>()),
  ...(await import('./database-mock.ts')).simulatedDb,
}))
vi.mock('@ticket-line/shared', async (original) => ({
  ...(await original<object>()),
  newJobId: (await import('./job-ids.ts')).newJobId,
}))
