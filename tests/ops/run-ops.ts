import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

export interface OpsRun {
  exitCode: number | null
  stdout: string
  stderr: string
  /** The report, if `--json` was given. */
  // biome-ignore lint/suspicious/noExplicitAny: reports have many shapes
  data: any
}

/** Runs the operators' tool and waits until it ends. */
export function runOps(args: string[], env: Record<string, string>): Promise<OpsRun> {
  const script = fromRoot('services/ops/dist/main.js')
  if (!existsSync(script)) throw new Error('services/ops is not built: run `npm run build` first')
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', (exitCode) => {
      const data = args.includes('--json') && stdout !== '' ? JSON.parse(stdout) : undefined
      resolve({ exitCode, stdout, stderr, data })
    })
  })
}
