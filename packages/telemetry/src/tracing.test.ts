import { ConfigError } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { readTracingConfig } from './tracing.js'

describe('readTracingConfig', () => {
  it.each(['http://otel-collector:4318', 'https://collector.test/otlp?tenant=1'])(
    'accepts the address %s',
    (address) => {
      for (const name of ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) {
        expect(readTracingConfig({ [name]: address }, 'api')).toMatchObject({ exporter: 'otlp' })
      }
    },
  )

  it.each([
    'otel-collector:4318',
    'localhost:4318',
    '//collector:4318',
    'grpc://collector:4317',
    'collector',
  ])('refuses the address %s and names its variable', (address) => {
    for (const name of ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) {
      expect(() => readTracingConfig({ [name]: address }, 'api')).toThrow(
        new ConfigError(
          `${name} must be an http or https address, such as http://otel-collector:4318`,
        ),
      )
    }
  })

  it('ignores the address of the collector if traces go elsewhere', () => {
    const address = { OTEL_EXPORTER_OTLP_ENDPOINT: 'otel-collector:4318' }
    expect(readTracingConfig({ ...address, OTEL_TRACES_EXPORTER: 'none' }, 'api')).toBeUndefined()
    expect(readTracingConfig({ ...address, OTEL_TRACES_EXPORTER: 'console' }, 'api')).toBeDefined()
  })
})
