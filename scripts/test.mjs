/**
 * `npm test`: builds, lints, checks types and migrations, and runs all tests, from a bare clone.
 * Arguments after `--` go to vitest: `npm test -- tests/model`. The last line printed is `N passed,
 * N failed`.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { bootstrap } from '../tools/dev-stack/bootstrap.mjs'
import { runChecks } from '../tools/dev-stack/checks.mjs'
import { runVisible } from '../tools/dev-stack/commands.mjs'
import { fromRoot, readText, root } from '../tools/dev-stack/files.mjs'
import { runMain, say } from '../tools/dev-stack/terminal.mjs'

runMain(async () => {
  const toolchain = await bootstrap()
  const failedChecks = await runChecks(toolchain)
  const { passed, failed } = await runTests(toolchain, process.argv.slice(2))
  for (const name of failedChecks) say(`Failed check: ${name}`)
  process.exitCode = failed + failedChecks.length > 0 ? 1 : 0
  say(`${passed} passed, ${failed + failedChecks.length} failed`)
})

/**
 * @param {import('../tools/dev-stack/toolchain.mjs').Toolchain} toolchain
 * @param {string[]} args
 * @returns {Promise<{ passed: number, failed: number }>} a run that ends without results counts as
 * one failure
 */
async function runTests({ node, env }, args) {
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-report-'))
  const report = path.join(folder, 'report.json')
  try {
    const vitest = fromRoot('node_modules/vitest/vitest.mjs')
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const code = await runVisible(node, [vitest, 'run', ...reporters, ...args], { cwd: root, env })
    if (!existsSync(report)) return { passed: 0, failed: 1 }
    const { numPassedTests, numFailedTests, numFailedTestSuites, testResults } = JSON.parse(
      readText(report),
    )
    tellUntested(testResults)
    // A file that cannot be loaded has no tests that fail. An error outside of tests only shows in
    // the exit code.
    const failed = numFailedTests || numFailedTestSuites || (code === 0 ? 0 : 1)
    return { passed: numPassedTests, failed }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Says that tests in a browser were skipped, so that nobody takes the run for a complete one.
 *
 * @param {{ name: string, assertionResults: { status: string }[] }[]} files
 */
function tellUntested(files) {
  const inBrowser = files.filter(({ name }) => name.startsWith(fromRoot('tests/browser')))
  const skipped = inBrowser
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'skipped' || status === 'pending')
  if (skipped.length > 0)
    say(
      `Not tested: ${skipped.length} tests in tests/browser. They need Chromium or CHROMIUM_PATH.`,
    )
}
