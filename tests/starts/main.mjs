/**
 * `npm run test:starts`: runs `npm start` in fresh clones of HEAD, in different environments. Words
 * after `--` select cases: `npm run test:starts -- "npm 12" quote`. The last line printed is `N
 * passed, N failed`.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { run, runVisible, which, works } from '../../tools/dev-stack/commands.mjs'
import { root } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { explain, runMain, say, UserError } from '../../tools/dev-stack/terminal.mjs'
import { attemptStart, endAll, start } from './attempt.mjs'

/** @typedef {import('./attempt.mjs').Attempt} Attempt */

/** The user "nobody". */
const nobody = 65_534

/** @type {[string, (place: Place) => Promise<void>][]} */
const cases = [
  ...[10, 11, 12].map(
    (version) =>
      /** @type {[string, (place: Place) => Promise<void>]} */ ([
        `starts with npm ${version}`,
        async (place) =>
          attemptStart({ ...(await place.clone()), env: await withNpm(place, version) }),
      ]),
  ),
  [
    'starts in a folder whose path has a space, quotes and a letter outside ASCII',
    async (place) => {
      // Downloaded servers use the path in more places than servers on PATH do.
      const env = { PATH: pathWithout(place, ['postgres', 'redis-server', 'valkey-server']) }
      await attemptStart({ ...(await place.clone(`it's a "naïve" clone`)), env })
    },
  ],
  ['starts as a user who is not root', startAsNobody],
  [
    'starts with ignore-scripts=true in the settings of npm',
    async (place) => {
      const settings = path.join(place.folder, 'npmrc')
      writeFileSync(settings, 'ignore-scripts=true\n')
      await attemptStart({ ...(await place.clone()), env: { NPM_CONFIG_USERCONFIG: settings } })
    },
  ],
  ['starts without ps, and refuses a second start in the same folder', startWithoutPs],
  ['starts again without a network', startWithoutNetwork],
  ['starts in a second folder at the same time', startTwice],
]

runMain(async () => {
  const words = process.argv.slice(2)
  const chosen = cases.filter(
    ([name]) => words.length === 0 || words.some((word) => name.includes(word)),
  )
  const work = mkdtempSync(path.join(tmpdir(), 'ticket-line-starts-'))
  chmodSync(work, 0o755)
  for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(name, () => {
      endAll(work).finally(() => {
        rmSync(work, { recursive: true, force: true })
        process.exit(130)
      })
    })
  }
  const counts = { passed: 0, failed: 0 }
  try {
    for (const [index, [name, attempt]] of chosen.entries()) {
      const place = createPlace(path.join(work, String(index)), work)
      const startedAt = performance.now()
      const report = (/** @type {string} */ mark) =>
        say(`${mark} ${name} (${((performance.now() - startedAt) / 1000).toFixed(0)} s)`)
      try {
        await attempt(place)
        counts.passed++
        report('✓')
      } catch (error) {
        counts.failed++
        report('✗')
        say(explain(error).replace(/^/gm, '  '))
      } finally {
        rmSync(place.folder, { recursive: true, force: true })
      }
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0
  say(`${counts.passed} passed, ${counts.failed} failed`)
})

/**
 * The folders of a case.
 *
 * @typedef {object} Place
 * @property {string} folder for this case only; it is removed afterwards
 * @property {string} shared by all cases
 * @property {(name?: string) => Promise<Pick<Attempt, 'clone' | 'temporary'>>} clone makes a fresh
 * clone
 */

/** @param {string} folder @param {string} shared @returns {Place} */
function createPlace(folder, shared) {
  mkdirSync(folder)
  return {
    folder,
    shared,
    async clone(name = 'clone') {
      const clone = path.join(folder, name)
      // With hard links, a change of owner would change the files of this repository.
      await run('git', ['clone', '--quiet', '--no-hardlinks', root, clone])
      return { clone, temporary: path.join(folder, `${name} tmp`) }
    },
  }
}

/** @param {Place} place @param {number} version @returns {Promise<Record<string, string>>} */
async function withNpm({ shared }, version) {
  const home = path.join(shared, `npm-${version}`)
  await run('npm', ['install', '--prefix', home, '--no-save', '--loglevel=error', `npm@${version}`])
  return { PATH: `${home}/node_modules/.bin${path.delimiter}${process.env['PATH']}` }
}

/** @param {Place} place */
async function startAsNobody(place) {
  const attempt = await place.clone()
  const user = process.getuid?.()
  if (user !== 0) return attemptStart(attempt)
  const home = path.join(place.folder, 'home')
  mkdirSync(home)
  mkdirSync(attempt.temporary)
  for (const folder of [home, attempt.temporary]) chownSync(folder, nobody, nobody)
  await run('chown', ['-R', `${nobody}:${nobody}`, attempt.clone])
  await attemptStart({ ...attempt, user: nobody, env: { HOME: home, USER: 'nobody' } })
}

/** @param {Place} place */
async function startWithoutPs(place) {
  const env = { PATH: pathWithout(place, ['ps']), COLUMNS: '30' }
  await attemptStart({ ...(await place.clone()), env }, async ({ npm, book }) => {
    const second = await npm(['start'], { PORT: String(await freePort()) })
    if (second.code === 0 || !second.output.includes('already runs')) {
      throw new UserError(`A second npm start ended with ${second.code}:\n${second.output}`)
    }
    await book()
  })
}

/**
 * @returns {string} a PATH of one folder, with links to all commands except the missing ones
 *
 * @param {Place} place
 * @param {string[]} missing
 */
function pathWithout({ folder }, missing) {
  const commands = path.join(folder, 'commands')
  mkdirSync(commands)
  for (const from of (process.env['PATH'] ?? '').split(path.delimiter)) {
    for (const name of namesIn(from)) {
      const link = path.join(commands, name)
      if (!missing.includes(name) && !existsSync(link)) symlinkSync(path.join(from, name), link)
    }
  }
  return commands
}

/** @param {string} folder */
function namesIn(folder) {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** @param {Place} place */
async function startWithoutNetwork(place) {
  const attempt = await place.clone()
  await attemptStart(attempt)
  const loopbackOnly = ['sh', '-c', 'ip link set lo up && exec "$@"', 'sh']
  const namespaces = [
    ['--net', ...loopbackOnly],
    ['--user', '--map-root-user', '--net', ...loopbackOnly],
  ]
  const possible = namespaces.find((args) => works('unshare', [...args, 'true']))
  if (which('ip') === undefined || possible === undefined) {
    // Requests to a registry or a mirror reach a closed port.
    const closed = `http://127.0.0.1:${await freePort()}`
    const env = {
      npm_config_registry: closed,
      http_proxy: closed,
      https_proxy: closed,
      no_proxy: '127.0.0.1,localhost',
    }
    return attemptStart({ ...attempt, env })
  }
  const script = fileURLToPath(new URL('./attempt.mjs', import.meta.url))
  const code = await runVisible('unshare', [
    ...possible,
    process.execPath,
    script,
    JSON.stringify(attempt),
  ])
  if (code !== 0) throw new UserError(`The start without a network ended with ${code}.`)
}

/** @param {Place} place */
async function startTwice(place) {
  const clones = [await place.clone('one'), await place.clone('two')]
  const results = await Promise.allSettled(clones.map((clone) => start(clone)))
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  try {
    for (const result of results) if (result.status === 'rejected') throw result.reason
    for (const { book } of started) await book()
    await started[0]?.stop()
    await started[1]?.book()
    await started[1]?.stop()
  } catch (error) {
    await Promise.all(started.map(({ end }) => end()))
    throw error
  }
}
