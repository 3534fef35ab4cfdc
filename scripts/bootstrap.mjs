/**
 * Brings a bare clone to where everything runs: Node 24 and pnpm (in `.tools/`, if need be), the dependencies, the build. Plain
 * JavaScript without dependencies, since it is what fetches them; runs on Node 20.
 *
 * `node scripts/bootstrap.mjs` does just that; start.mjs and test.mjs call it first.
 */
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ensureBuilt, ensureInstalled } from '../tools/dev-stack/install.mjs'
import { runMain } from '../tools/dev-stack/say.mjs'
import { ensureToolchain } from '../tools/dev-stack/toolchain.mjs'

/** @returns {Promise<import('../tools/dev-stack/toolchain.mjs').Toolchain>} */
export async function bootstrap() {
  const toolchain = await ensureToolchain()
  await ensureInstalled(toolchain)
  await ensureBuilt(toolchain)
  return toolchain
}

if (
  process.argv[1] !== undefined &&
  realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)
) {
  runMain(bootstrap)
}
