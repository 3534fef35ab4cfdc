import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

/**
 * Writes compressed copies, `<file>.br` and `<file>.gz`, beside each file. If the API compressed
 * the files, it would start more slowly.
 */
function precompress(): Plugin {
  const brotli = promisify(brotliCompress)
  const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY }
  return {
    name: 'precompress',
    apply: 'build',
    async writeBundle({ dir = 'dist' }, bundle) {
      for (const name of Object.keys(bundle)) {
        const bytes = await readFile(join(dir, name))
        await writeFile(join(dir, `${name}.br`), await brotli(bytes, { params }))
        await writeFile(join(dir, `${name}.gz`), await promisify(gzip)(bytes, { level: 9 }))
      }
    },
  }
}

export default defineConfig({
  // TypeScript's settings for JSX are in tsconfig.json.
  plugins: [precompress()],
  build: {
    rolldownOptions: { input: ['home.html', 'event.html', 'box-office.html'] },
    // The policy of the pages allows no inline script. An image in a data URL could not be cached.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  logLevel: 'warn',
})
