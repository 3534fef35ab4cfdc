import type { SpanExporter } from '@opentelemetry/sdk-trace'

type Result = Parameters<Parameters<SpanExporter['export']>[1]>[0]

export interface ExportWatch {
  /** Called once when exports begin to fail. */
  onLost: (error: Error | undefined) => void
  /** Called when an export succeeds again, with the number of lost spans. */
  onBack: (lostSpans: number) => void
}

/** An exporter that reports failures. The SDK itself drops spans that could not be sent. */
export interface WatchedExporter extends SpanExporter {
  /** Called when the process ends: reports that the remaining spans are lost. */
  giveUp(): void
}

// `ExportResultCode.SUCCESS` of @opentelemetry/core, which is not a dependency of this package.
const SUCCESS = 0

export function watchExporter(
  exporter: SpanExporter,
  { onLost, onBack }: ExportWatch,
): WatchedExporter {
  let failing = false
  let lostSpans = 0

  function fail(error: Error | undefined): void {
    if (!failing) onLost(error)
    failing = true
  }

  function recordResult(spans: number, { code, error }: Result): void {
    if (code !== SUCCESS) {
      lostSpans += spans
      fail(error)
    } else if (failing) {
      onBack(lostSpans)
      failing = false
      lostSpans = 0
    }
  }

  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        recordResult(spans.length, result)
        done(result)
      })
    },
    giveUp: () => fail(new Error('the collector does not answer')),
    shutdown: () => exporter.shutdown(),
    async forceFlush() {
      await exporter.forceFlush?.()
    },
  }
}
