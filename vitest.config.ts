import { configDefaults, defineConfig } from 'vitest/config'

/** Suites that measure time or memory or need both cores, so no other suite may run beside them. */
const ALONE = [
  'tests/faults/rig.test.ts',
  'tests/faults/scenarios/dead-host.test.ts',
  'tests/faults/scenarios/lapses.test.ts',
  'tests/security/slow-clients.test.ts',
  'tests/security/fuzz.test.ts',
  'tests/security/sign-in.test.ts',
  'tests/security/unread-responses.test.ts',
]

/** Suites that reach lines through connections of the product, so any server may have the keys. */
const LINE_SUITES = [
  'line-admission',
  'line-fleet',
  'lost-jobs',
  'lost-redis',
  'quiet-lines',
  'contract-booking',
]

/** Suites of lines that need a Redis with one server. */
const LINE_SUITES_ON_ONE_SERVER = [
  'announcements',
  'bullmq-facts',
  'line-abandoned-jobs',
  'recovery-of-lines',
]

/**
 * The suites that run once more on each other kind of Redis (`TEST_REDIS`). `npm test` leaves out
 * the kinds that this machine cannot run.
 */
const ON_OTHER_REDIS = {
  valkey: [...LINE_SUITES, ...LINE_SUITES_ON_ONE_SERVER],
  cluster: LINE_SUITES,
  sentinel: ['line-fleet', 'lost-redis'],
}

export default defineConfig({
  test: {
    globalSetup: ['tests/stack/global-setup.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // On a busy machine, what `expect.poll` waits for may take longer than the default of a second.
    expect: { poll: { timeout: 20_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'all',
          include: [
            'packages/*/src/**/*.test.ts',
            'services/*/src/**/*.test.ts',
            'tests/**/*.test.ts',
          ],
          exclude: [...configDefaults.exclude, '**/dist/**', 'tests/simulation/**', ...ALONE],
          // A suite that starts a whole system waits for deadlines and restarts a third of its
          // time. With two workers, two cores are idle for 40 % of the time.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'client',
          // The contract suite once more, with calls that `@ticket-line/client` sends, and with the
          // user of Redis that deploy/redis describes. The two that are left out are about bytes of
          // streams, and about starts and stops.
          include: ['tests/integration/contract-*.test.ts'],
          exclude: [...configDefaults.exclude, '**/contract-{streams,start-stop}.test.ts'],
          env: { TEST_CLIENT: 'typed', TEST_REDIS_USER: 'restricted' },
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      ...Object.entries(ON_OTHER_REDIS).map(([kind, suites]) => ({
        extends: true as const,
        test: {
          name: kind,
          include: suites.map((suite) => `tests/integration/${suite}.test.ts`),
          env: { TEST_REDIS: kind },
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      })),
      {
        extends: true,
        test: {
          name: 'simulation',
          include: ['tests/simulation/**/*.test.ts'],
          // Runs after the others, because it keeps two cores busy for half a minute.
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
})
