// Fails if the schema has something that no migration creates. It generates a migration into a copy
// of the folder, and checks whether that added a file.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const copy = mkdtempSync(join(tmpdir(), 'migrations-'))
try {
  cpSync(join(here, 'migrations'), copy, { recursive: true })
  const before = readdirSync(copy).length
  const kit = fileURLToPath(new URL('bin.cjs', import.meta.resolve('drizzle-kit')))
  const run = spawnSync(
    process.execPath,
    [
      kit,
      'generate',
      '--dialect',
      'postgresql',
      '--schema',
      './src/schema.ts',
      '--out',
      copy,
      '--name',
      'drift',
    ],
    { cwd: here, encoding: 'utf8' },
  )
  if (run.status !== 0) throw new Error(`drizzle-kit failed:\n${run.stdout}${run.stderr}`)
  const added = readdirSync(copy).length - before
  if (added > 0) {
    console.error(
      'The schema and its migrations differ. Run: npm run generate -- --name <what-it-does>',
    )
    process.exitCode = 1
  } else {
    console.log('Schema and migrations agree.')
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
