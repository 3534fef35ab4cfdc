import type { RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { runAt, serverClock } from '../clock.js'
import { announce, ConfirmDialog, Countdown } from '../ui/index.js'
import type { Button, ButtonAction, EventView } from './view.js'

/** Least time between two announcements of a position, ms. */
const POSITION_EVERY_MS = 30_000

export interface SituationViewProps {
  view: EventView
  /** Called when the visitor has pressed a button, and answered its question, if any, with yes. */
  onAct: (action: ButtonAction) => void
}

/** What the visitor has for the event, and the buttons for what they can do. */
export function SituationView({ view, onAct }: SituationViewProps) {
  const { kind, tone, heading, text, countdown, notice, buttons, signIn } = view
  const [asked, setAsked] = useState<ButtonAction>()
  const title = useRef<HTMLHeadingElement>(null)
  const hasActed = useRef(false)
  const wasSignedOut = useRef(false)
  // If the button has gone in the meantime, there is nothing to ask any more.
  const asking = buttons.find(({ does, isDisabled }) => does === asked && !isDisabled)

  function act(action: ButtonAction): void {
    hasActed.current = true
    setAsked(undefined)
    onAct(action)
  }

  const isSignedOut = signIn !== undefined
  useEffect(() => {
    // The button or form that was used is gone, so the focus moves to the heading.
    const isLost = document.activeElement === null || document.activeElement === document.body
    if (hasActed.current || (isLost && !isSignedOut && wasSignedOut.current)) title.current?.focus()
    wasSignedOut.current = isSignedOut
    if (!isBusy(kind)) hasActed.current = false
  }, [kind, isSignedOut])
  useAnnouncements(view, title)
  useLastMinute(countdown)

  return (
    <section class="situation" data-kind={kind} data-tone={tone} aria-labelledby="situation">
      <h2 id="situation" tabIndex={-1} ref={title}>
        {/* Screen readers may skip busy elements, so only the spinner is busy. */}
        {isBusy(kind) && <span aria-busy="true" aria-hidden="true" />}
        {heading}
      </h2>
      {countdown !== undefined && (
        <p class="countdown">
          {countdown.label}: <Countdown until={countdown.until} />
        </p>
      )}
      {text.map((paragraph) => (
        <p key={paragraph}>{paragraph}</p>
      ))}
      {notice !== undefined && (
        <p class="notice" data-tone={notice.tone} role="alert">
          {notice.text}
        </p>
      )}
      {buttons.length > 0 && (
        <div class="actions">
          {buttons.map((button) => (
            <ActionButton
              key={button.does}
              button={button}
              onPress={() =>
                button.question === undefined ? act(button.does) : setAsked(button.does)
              }
            />
          ))}
        </div>
      )}
      {asking?.question !== undefined && (
        <ConfirmDialog
          title={asking.question.title}
          confirmLabel={asking.question.yes}
          keepLabel={asking.question.no}
          onClose={() => setAsked(undefined)}
          onConfirm={() => act(asking.does)}
        >
          <p>{asking.question.text}</p>
        </ConfirmDialog>
      )}
    </section>
  )
}

/** Tells users of screen readers when a countdown has a minute left. */
function useLastMinute(countdown: EventView['countdown']): void {
  useEffect(() => {
    if (countdown === undefined) return
    const atMs = Date.parse(countdown.until) - MINUTE_MS
    if (atMs > serverClock.nowMs())
      return runAt(atMs, () => announce(`${countdown.label}: one minute.`))
  }, [countdown?.until])
}

const MINUTE_MS = 60_000

function isBusy(kind: EventView['kind']): boolean {
  return kind === 'loading' || kind === 'sending' || kind === 'in_line'
}

function ActionButton({ button, onPress }: { button: Button; onPress: () => void }) {
  const { label, isPrimary, isDisabled } = button
  return (
    <button
      type="button"
      class={isPrimary ? undefined : 'secondary outline'}
      disabled={isDisabled}
      onClick={onPress}
    >
      {label}
    </button>
  )
}

/**
 * Tells users of screen readers about a new situation at once, and about a new position at most
 * every 30 seconds.
 *
 * @param title is read anyway if it has the focus
 */
function useAnnouncements(
  { kind, heading, text }: EventView,
  title: RefObject<HTMLHeadingElement | null>,
): void {
  const said = useRef({ heading: '', atMs: Number.NEGATIVE_INFINITY })
  const isFirst = useRef(true)
  const say = (words: string): void => {
    said.current = { heading, atMs: performance.now() }
    announce(words)
  }
  const first = text[0] ?? ''
  useEffect(() => {
    // At first, screen readers read the whole page.
    const isRead = document.activeElement === title.current
    if (isFirst.current) said.current = { heading, atMs: performance.now() }
    else say(isRead ? first : `${heading}. ${first}`)
    if (kind !== 'loading') isFirst.current = false
  }, [kind])
  useEffect(() => {
    if (kind !== 'waiting' || heading === said.current.heading) return
    const inMs = Math.max(0, said.current.atMs + POSITION_EVERY_MS - performance.now())
    const timer = setTimeout(() => say(heading), inMs)
    return () => clearTimeout(timer)
  }, [heading])
}
