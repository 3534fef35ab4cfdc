import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

interface Workflow {
  permissions: Record<string, string>
  jobs: Record<string, Job>
}

interface Job {
  'timeout-minutes'?: number
  strategy?: { matrix: Record<string, (string | number)[]> }
  steps: { uses?: string; run?: string }[]
}

const read = (file: string): string => readFileSync(fromRoot(file), 'utf8')
const workflows = globSync('.github/workflows/*.yml', { cwd: fromRoot('.') })
const files = [...workflows, ...globSync('.github/actions/*/action.yml', { cwd: fromRoot('.') })]
const ci: Workflow = parse(read('.github/workflows/ci.yml'))
const commandsOf = (job: Job): string => job.steps.map(({ run = '' }) => run).join('\n')

describe.each(files)('%s', (file) => {
  it('runs only actions of this repository and actions at the commit of a release', () => {
    const used = [...read(file).matchAll(/\buses: (.*)$/gm)].map(([, action = '']) => action)
    expect(used.length).toBeGreaterThan(0)
    for (const action of used)
      expect(action).toMatch(/^(?:\.\/\.github\/|[\w.-]+\/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)/)
  })
})

describe('the workflows', () => {
  it('use each action at one commit', () => {
    const used = files.flatMap((file) => read(file).match(/(?<=uses: )[\w-]+\/.*$/gm) ?? [])
    const names = new Set(used.map((action) => action.split('@')[0]))
    expect(new Set(used).size).toBe(names.size)
  })

  it('may only read the repository, except for the one that publishes images', () => {
    for (const file of workflows) {
      const { permissions }: Workflow = parse(read(file))
      const publishes = path.basename(file) === 'publish.yml'
      expect(permissions, file).toEqual({
        contents: 'read',
        ...(publishes && { packages: 'write' }),
      })
    }
  })

  it('end after a time limit', () => {
    for (const file of workflows) {
      const { jobs }: Workflow = parse(read(file))
      for (const [name, job] of Object.entries(jobs))
        expect(job['timeout-minutes'], `${file}: ${name}`).toBeGreaterThan(0)
    }
  })

  it('run every test in a job', () => {
    const commands = Object.values(ci.jobs).map((job) =>
      [commandsOf(job), ...(job.strategy?.matrix['tests'] ?? [])].join('\n'),
    )
    const named = new Set(commands.join('\n').match(/\b(?:packages\/|services\/|tests\/[\w.-]+)/g))
    const tests = globSync('{packages,services,tests}/**/*.test.ts', {
      cwd: fromRoot('.'),
      exclude: (name) => name === 'node_modules' || name === 'dist',
    })
    expect(tests.length).toBeGreaterThan(200)
    const forgotten = tests.filter((file) => ![...named].some((name) => file.startsWith(name)))
    expect(forgotten).toEqual([])
  })

  it('run the tests of the database on PostgreSQL 15 to 18', () => {
    expect(ci.jobs['postgres']?.strategy?.matrix).toEqual({ version: [15, 16, 17, 18] })
  })

  it('build the images of the version that the tag names', () => {
    const { jobs }: Workflow = parse(read('.github/workflows/publish.yml'))
    expect(commandsOf(jobs['image'] as Job)).toContain(`require("./package.json").version`)
  })
})
