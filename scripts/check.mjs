/**
 * `npm run check`: checks lint, types, migrations and the OpenAPI document, as `npm test` does
 * before the tests. Arguments after `--` name single checks: `npm run check -- lint types`.
 */
import { bootstrap } from '../tools/dev-stack/bootstrap.mjs'
import { runChecks } from '../tools/dev-stack/checks.mjs'
import { runMain, say } from '../tools/dev-stack/terminal.mjs'

runMain(async () => {
  const names = process.argv.slice(2)
  const failed = await runChecks(await bootstrap(), names.length === 0 ? undefined : names)
  for (const title of failed) say(`Failed check: ${title}`)
  process.exitCode = failed.length > 0 ? 1 : 0
})
