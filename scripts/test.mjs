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
import { runVisible, which } from '../tools/dev-stack/commands.mjs'
import { fromRoot, readText, root } from '../tools/dev-stack/files.mjs'
import { fetchedRedis } from '../tools/dev-stack/redis-apt.mjs'
import { whyNoRedis } from '../tools/dev-stack/redis-sources.mjs'
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
    const missing = await findMissingRedis(args)
    const projects = [...missing.keys()].map((kind) => `--project=!${kind}`)
    const command = [vitest, 'run', ...reporters, ...projects, ...args]
    const code = await runVisible(node, command, { cwd: root, env })
    if (!existsSync(report)) return { passed: 0, failed: 1 }
    const { numPassedTests, numFailedTests, numFailedTestSuites, testResults } = JSON.parse(
      readText(report),
    )
    tellSkippedInBrowser(testResults)
    tellMissingRedis(testResults, missing)
    // A file that cannot be loaded has no tests that fail. An error outside of tests only shows in
    // the exit code.
    const failed = numFailedTests || numFailedTestSuites || (code === 0 ? 0 : 1)
    return { passed: numPassedTests, failed }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @typedef {'valkey' | 'cluster' | 'sentinel'} RedisKind */

/** The kinds of Redis that have a project in vitest.config.ts, and what each of them needs. */
const redisKinds = /** @type {const} */ ({
  valkey: { name: 'Valkey', from: 'any', product: 'valkey' },
  cluster: { name: 'a Redis Cluster', from: 'local', product: undefined },
  sentinel: { name: 'Redis with Sentinels', from: 'local', product: undefined },
})

/**
 * Finds the kinds of Redis that cannot be tested. Except in CI, a run with arguments fetches none,
 * so that a short run stays short.
 *
 * @param {string[]} args those of vitest
 * @returns {Promise<Map<RedisKind, string>>} the kinds that this machine cannot run, and why
 */
async function findMissingRedis(args) {
  /** @type {Map<RedisKind, string>} */
  const missing = new Map()
  for (const kind of /** @type {RedisKind[]} */ (Object.keys(redisKinds))) {
    const { from, product } = redisKinds[kind]
    const isThere = which(`${product ?? 'redis'}-server`) || fetchedRedis(product ?? 'redis')
    const mayFetch = args.length === 0 || process.env['CI'] === 'true'
    const why =
      isThere || mayFetch
        ? await whyNoRedis(from, product)
        : 'It has not been fetched yet: run `npm test` without arguments once.'
    if (why !== undefined) missing.set(kind, why)
  }
  return missing
}

/**
 * Says which kinds of Redis the suites of lines did not run on.
 *
 * @param {{ name: string }[]} files
 * @param {Map<RedisKind, string>} missing
 */
function tellMissingRedis(files, missing) {
  if (!files.some(({ name }) => name.startsWith(fromRoot('tests/integration')))) return
  for (const [kind, why] of missing)
    say(`Not tested: the suites of lines on ${redisKinds[kind].name}. ${why}`)
}

/**
 * Says that tests in a browser were skipped, so that nobody takes the run for a complete one.
 *
 * @param {{ name: string, assertionResults: { status: string }[] }[]} files
 */
function tellSkippedInBrowser(files) {
  const inBrowser = files.filter(({ name }) => name.startsWith(fromRoot('tests/browser')))
  const skipped = inBrowser
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'skipped' || status === 'pending')
  if (skipped.length > 0)
    say(
      `Not tested: ${skipped.length} tests in tests/browser. They need Chromium or CHROMIUM_PATH.`,
    )
}
