import { useState } from 'preact/hooks'
import { number } from '../../format.js'
import { announce, Failure } from '../../ui/index.js'
import { type Opened, saveCsv } from './save-csv.js'

type State =
  | { kind: 'idle' }
  | { kind: 'running'; bytes: number }
  | { kind: 'saved' }
  | { kind: 'another_runs' }
  | { kind: 'broken' }
  | { kind: 'refused'; error: unknown }

export interface CsvButtonProps {
  fileName: string
  /** Whether the list has more than one page. */
  isLong: boolean
  open: () => Promise<Opened>
}

/** Downloads a whole list. */
export function CsvButton({ fileName, isLong, open }: CsvButtonProps) {
  const [state, setState] = useState<State>({ kind: 'idle' })

  async function save(): Promise<void> {
    let isOpened = false
    setState({ kind: 'running', bytes: 0 })
    const download = {
      fileName,
      isLong,
      async open() {
        const opened = await open()
        isOpened = true
        return opened
      },
      onProgress: (bytes: number) => setState({ kind: 'running', bytes }),
    }
    try {
      const saved = await saveCsv(download)
      setState(saved.kind === 'canceled' ? { kind: 'idle' } : saved)
      if (saved.kind === 'saved') announce(`${fileName} is saved.`)
    } catch (error) {
      setState(isOpened ? { kind: 'broken' } : { kind: 'refused', error })
    }
  }

  return (
    <div>
      <button
        type="button"
        class="secondary"
        aria-disabled={state.kind === 'running'}
        onClick={() => state.kind !== 'running' && save()}
      >
        Download the whole list (CSV)
      </button>
      {state.kind === 'running' && (
        <p aria-busy="true">Downloading… {number(Math.round(state.bytes / 1000))} kB</p>
      )}
      {state.kind === 'saved' && <p>{fileName} is saved.</p>}
      {state.kind === 'another_runs' && (
        <p role="alert">
          You are already downloading a list, here, in another window or with one of your API keys.
          One download at a time is possible. Wait until it has ended, then try again.
        </p>
      )}
      {state.kind === 'broken' && (
        <p role="alert">The connection broke before the end of the list. Download it again.</p>
      )}
      {state.kind === 'refused' && <Failure error={state.error} retry={save} />}
    </div>
  )
}
