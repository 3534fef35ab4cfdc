import type { SpanExporter } from '@opentelemetry/sdk-trace'
import { expect, it, vi } from 'vitest'
import { watchExporter } from './watched-exporter.js'

it('reports lost spans once in each outage, and its end', () => {
  let fails = false
  const exporter: SpanExporter = {
    export: (_spans, done) => done(fails ? { code: 1, error: new Error('away') } : { code: 0 }),
    shutdown: async () => undefined,
  }
  const onLost = vi.fn()
  const onBack = vi.fn()
  const watched = watchExporter(exporter, { onLost, onBack })
  const send = (spans: number) => {
    const done = vi.fn()
    watched.export(Array(spans), done)
    expect(done).toHaveBeenCalledTimes(1)
  }

  send(1)
  expect([onLost, onBack].map((mock) => mock.mock.calls)).toEqual([[], []])
  fails = true
  send(3)
  send(4)
  watched.giveUp()
  expect(onLost.mock.calls).toEqual([[new Error('away')]])
  fails = false
  send(1)
  send(1)
  expect(onBack.mock.calls).toEqual([[7]])
  fails = true
  send(1)
  expect(onLost).toHaveBeenCalledTimes(2)
})
