import type { ChildProcess } from 'node:child_process'

/** Collects what a process prints to stdout and stderr, if they are pipes. @returns it so far */
export function outputOf({ stdout, stderr }: ChildProcess): () => string {
  let text = ''
  for (const stream of [stdout, stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  return () => text
}
