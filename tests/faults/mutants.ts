import { parseArgs } from 'node:util'
import { GUARDS, type Guard } from './mutants/guards.ts'

/**
 * `npm run faults:mutants [-- --only <part of a guard's name>]`: removes one guard after the other
 * from a copy of the build and shows that the fault rig notices. Each proof also runs with the
 * guard in place, which shows that the guard makes the difference.
 */
const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } })

interface Row {
  guard: string
  'also broken in both': string
  'with guard': string
  'without guard': string
  'first finding': string
}

const rows: Row[] = []
let allProved = true
for (const guard of GUARDS.filter(({ name }) => name.includes(values.only))) {
  const { row, proved } = await proveGuard(guard)
  rows.push(row)
  allProved &&= proved
  console.log(`${row.guard}: with it ${row['with guard']}, without it ${row['without guard']}`)
}
console.table(rows)
process.exit(allProved ? 0 : 1)

async function proveGuard({
  name,
  alsoBroken,
  remove,
  proof,
}: Guard): Promise<{ row: Row; proved: boolean }> {
  const broken = alsoBroken?.mutations ?? []
  const withGuard = await proof(broken)
  const withoutGuard = await proof([...broken, ...remove])
  for (const text of withGuard) console.log(`${name}, with the guard in place: ${text}`)
  return {
    proved: withGuard.length === 0 && withoutGuard.length > 0,
    row: {
      guard: name,
      'also broken in both': alsoBroken?.what ?? '',
      'with guard': color(withGuard),
      'without guard': color(withoutGuard),
      'first finding': (withoutGuard[0] ?? 'nothing').slice(0, 120),
    },
  }
}

function color(texts: string[]): string {
  return texts.length === 0 ? 'green' : `RED (${texts.length})`
}
