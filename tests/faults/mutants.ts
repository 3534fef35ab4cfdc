import { parseArgs } from 'node:util'
import { GUARDS, type Guard } from './mutants/guards.ts'

/**
 * `npm run faults:mutants [-- --only <part of a guard's name>]`: takes every guard out of a copy of the build, one after
 * the other, and shows that the rig notices. Each is run with the guard as well, so that it is the guard that decides.
 */
const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } })

interface Row {
  guard: string
  'also broken in both': string
  'with it': string
  'without it': string
  'what the rig saw': string
}

const rows: Row[] = []
let good = true
for (const guard of GUARDS.filter(({ name }) => name.includes(values.only))) {
  const { row, proven } = await tryGuard(guard)
  rows.push(row)
  good &&= proven
  console.log(`${row.guard}: with it ${row['with it']}, without it ${row['without it']}`)
}
console.table(rows)
process.exit(good ? 0 : 1)

async function tryGuard({
  name,
  alsoBroken,
  remove,
  proof,
}: Guard): Promise<{ row: Row; proven: boolean }> {
  const broken = alsoBroken?.patches ?? []
  const withIt = await proof(broken)
  const withoutIt = await proof([...broken, ...remove])
  for (const text of withIt) console.log(`${name}, although it is there: ${text}`)
  return {
    proven: withIt.length === 0 && withoutIt.length > 0,
    row: {
      guard: name,
      'also broken in both': alsoBroken?.what ?? '',
      'with it': colour(withIt),
      'without it': colour(withoutIt),
      'what the rig saw': (withoutIt[0] ?? 'nothing').slice(0, 120),
    },
  }
}

function colour(texts: string[]): string {
  return texts.length === 0 ? 'green' : `RED (${texts.length})`
}
