// The health check of the images, which have no shell and no curl. Exits with 0 if the URL answers
// 200.
const url = process.argv[2] ?? ''
const answer = await fetch(url, { signal: AbortSignal.timeout(2500) }).catch(() => undefined)
process.exit(answer?.status === 200 ? 0 : 1)
