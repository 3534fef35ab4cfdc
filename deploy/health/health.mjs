// The health check of the images: 0 where the URL answers 200. They have no shell and no curl.
const url = process.argv[2] ?? ''
const answer = await fetch(url, { signal: AbortSignal.timeout(2500) }).catch(() => undefined)
process.exit(answer?.status === 200 ? 0 : 1)
