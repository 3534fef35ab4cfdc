import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { useSession } from '../session/index.js'
import { useAction } from '../use-action.js'
import { Announce } from './announce.js'
import { Failure } from './failure.js'

export interface PageProps {
  /** The only `h1` of the page. */
  title: string
  /** Title of the tab; default: the heading and the name of the site. */
  tabTitle?: string
  children: ComponentChildren
}

const SITE = 'Ticket Line'

/**
 * The frame of every page: header with the links and the sign-in, heading, footer and live region.
 * It replaces the static header of the HTML file.
 */
export function Page({
  title,
  tabTitle = title === SITE ? SITE : `${title} – ${SITE}`,
  children,
}: PageProps) {
  const main = useRef<HTMLElement>(null)
  useEffect(() => {
    document.title = tabTitle
  }, [tabTitle])
  return (
    <>
      <header class="container">
        <button type="button" class="skip" onClick={() => main.current?.focus()}>
          Skip to the content
        </button>
        <nav aria-label="Pages">
          <ul>
            <li>
              <a class="brand" href="/">
                {SITE}
              </a>
            </li>
          </ul>
          <ul>
            <li>
              <a href="/box-office">Box office</a>
            </li>
            <SignedIn />
          </ul>
        </nav>
      </header>
      <main class="container" id="main" tabIndex={-1} ref={main}>
        <h1 tabIndex={-1}>{title}</h1>
        {children}
      </main>
      <footer class="container">
        <small>
          <a href="/docs">HTTP API</a> · <a href="/admin/queues">Queue dashboard</a>
        </small>
      </footer>
      <Announce />
    </>
  )
}

/** The part of the header that shows the signed-in user. */
function SignedIn() {
  const session = useSession()
  const signOut = useAction(session.signOut)
  if (session.kind !== 'signedIn') return null
  return (
    <li>
      <span class="narrow-hidden">Signed in as</span> <strong>{session.userId}</strong>{' '}
      <button
        type="button"
        class="secondary outline"
        disabled={signOut.isRunning}
        onClick={() => void signOut.run()}
      >
        Sign out
      </button>
      <Failure error={signOut.error} />
    </li>
  )
}

/**
 * Moves the focus to the heading of the page. Called after a view was replaced by another one, so
 * that users of a keyboard or a screen reader begin there.
 */
export function focusHeading(): void {
  document.querySelector<HTMLElement>('main h1')?.focus()
}
