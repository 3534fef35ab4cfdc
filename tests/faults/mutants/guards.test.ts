import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createBase } from '../../stack/system.ts'
import { copyBuild } from '../fleet/build-copy.ts'
import { marksOf } from '../fleet/mutation.ts'
import { POISON } from '../scenarios/poison.ts'
import { GUARDS } from './guards.ts'

// `npm run faults:mutants` takes minutes. These tests show that its mutations still apply.

let base: Awaited<ReturnType<typeof createBase>>
beforeAll(async () => {
  base = await createBase()
})
afterAll(() => base.remove())

it.each(GUARDS)('removes the $name from the build', async ({ alsoBroken, remove }) => {
  const mutations = [...(alsoBroken?.mutations ?? []), ...remove]
  copyBuild(mutations).remove()
  const client = new pg.Client({ connectionString: base.databaseUrl })
  await client.connect()
  try {
    await client.query('BEGIN')
    for (const mutation of mutations)
      if (mutation.kind === 'sql') await client.query(mutation.statement)
  } finally {
    await client.end()
  }
})

it('applies the mutation that poisons a command', () => {
  copyBuild(POISON).remove()
})

it('finds each mark once in the build, and finds a guard for each mark', () => {
  const build = copyBuild()
  try {
    const removed = GUARDS.flatMap(({ remove }) =>
      remove.flatMap((mutation) => (mutation.kind === 'remove-marked' ? mutation.mark : [])),
    )
    expect(marksOf(build.root).sort()).toEqual(removed.sort())
  } finally {
    build.remove()
  }
})
