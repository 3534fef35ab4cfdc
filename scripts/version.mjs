/**
 * `npm version <version>` runs this after it has changed the manifest of the root. It writes the
 * version to the files in which other tools read it: the manifest of the client, the Kubernetes
 * example and the OpenAPI document. Everything else takes it from the build
 * (`packages/shared/write-version.mjs`).
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { bootstrap } from '../tools/dev-stack/bootstrap.mjs'
import { run } from '../tools/dev-stack/commands.mjs'
import { fromRoot, readText, root } from '../tools/dev-stack/files.mjs'
import { runMain } from '../tools/dev-stack/terminal.mjs'

/** @type {Record<string, RegExp>} matches the version in each file */
const copies = {
  'packages/client/package.json': /(?<=^ {2}"version": ")[^"]+/m,
  'deploy/kubernetes/example/kustomization.yml': /(?<=newTag: ")[^"]+/g,
}

runMain(async () => {
  const { version } = JSON.parse(readText(fromRoot('package.json')))
  for (const [file, place] of Object.entries(copies)) {
    const text = readFileSync(fromRoot(file), 'utf8')
    writeFileSync(fromRoot(file), text.replace(place, version))
  }
  const { env } = await bootstrap()
  await run('pnpm', ['-C', 'services/api', 'run', 'openapi'], { cwd: root, env })
  await run('git', ['add', ...Object.keys(copies), 'docs/openapi.json'], { cwd: root, env })
})
