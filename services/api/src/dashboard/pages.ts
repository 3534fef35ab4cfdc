import { createHash } from 'node:crypto'
import type { Context } from 'hono'
import type { AppEnv } from '../http/env.js'
import { sendText } from '../http/reply.js'

const STYLE = `
:root { color-scheme: light dark; --ground: #eef1f5; --card: #fff; --ink: #1b2430; --soft: #5b6778; --line: #cdd5df;
  --accent: #1f5fbf; --accent-ink: #fff; --bad: #a3261b; --bad-ground: #fbe9e7 }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --card: #1b212a; --ink: #e6eaf0; --soft: #9aa6b6;
  --line: #36404d; --accent: #6ea3f2; --accent-ink: #0d1420; --bad: #ffb4a9; --bad-ground: #3a1d1a } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
main { width: min(23rem, 100%); padding: 2rem; border: 1px solid var(--line); border-radius: .75rem;
  background: var(--card) }
svg { display: block; margin-bottom: 1rem }
h1 { margin: 0; font-size: 1.25rem }
p { margin: .25rem 0 1.25rem; color: var(--soft) }
label { display: block; margin: 1rem 0 .25rem; font-weight: 600; font-size: .9rem }
input { width: 100%; padding: .6rem .7rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--ground);
  color: var(--ink); font: inherit }
button { width: 100%; margin-top: 1.5rem; padding: .7rem; border: 0; border-radius: .4rem; background: var(--accent);
  color: var(--accent-ink); font: inherit; font-weight: 600; cursor: pointer }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.bad { margin: 1rem 0 0; padding: .6rem .7rem; border-radius: .4rem; background: var(--bad-ground); color: var(--bad) }
a { color: var(--accent) }
`

const MARK = `<svg width="56" height="28" viewBox="0 0 56 28" aria-hidden="true"><g fill="none" stroke="var(--accent)"
stroke-width="2"><path d="M2 4h36v6a4 4 0 0 0 0 8v6H2v-6a4 4 0 0 0 0-8z"/><path d="M27 4v20" stroke-dasharray="2 3"/>
</g><g fill="var(--accent)"><circle cx="46" cy="14" r="2"/><circle cx="53" cy="14" r="2"/></g></svg>`

/** Allows the style sheet of these pages by its hash, and forms that are sent to this site. */
const PAGE_CSP = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

function page(title: string, content: string): string {
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>${title} – Ticket Line</title><style>${STYLE}</style></head>
<body><main>${MARK}${content}</main></body>
</html>
`
}

/**
 * The sign-in form.
 *
 * @param problem one of our own sentences, never text that the client sent
 */
export function signInPage(problem?: string): string {
  const alert = problem === undefined ? '' : `<p class="bad" role="alert">${problem}</p>`
  return page(
    'Sign in',
    `<h1>Queue dashboard</h1>
<p>For admins. Shows the line of each event, and the jobs in it.</p>
${alert}<form method="post" action="/admin/login">
<label for="userId">User id</label>
<input id="userId" name="userId" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button>
</form>`,
  )
}

/** Shown instead of the form if the browser would drop the cookie of the session. */
export function insecurePage(): string {
  return page(
    'HTTPS is required',
    `<h1>HTTPS is required</h1>
<p>This page was sent over plain HTTP. To sign in to the dashboard, use <strong>HTTPS</strong> or
<strong>localhost</strong>. Otherwise the browser does not keep the session.</p>
<p>Open the dashboard through the proxy that terminates TLS (it must send
<code>X-Forwarded-Proto: https</code>), or through a tunnel such as
<code>ssh -L 8080:127.0.0.1:8080 server</code> at <code>http://localhost:8080/admin/queues</code>.</p>`,
  )
}

/** Asks for confirmation, because following a link must not sign out. */
export function signOutPage(): string {
  return page(
    'Sign out',
    `<h1>Sign out?</h1>
<p>This ends your dashboard session. <a href="/admin/queues">Back to the queues</a></p>
<form method="post" action="/admin/logout"><button>Sign out</button></form>`,
  )
}

/**
 * A form for the id of an event.
 *
 * @param problem one of our own sentences, never text that the client sent
 */
export function openEventPage(problem?: string): string {
  const alert = problem === undefined ? '' : `<p class="bad" role="alert">${problem}</p>`
  return page(
    'Open an event',
    `<h1>Open an event</h1>
<p>Shows the line of any event, even if it is empty. <a href="/admin/queues">Back to the queues</a></p>
${alert}<form method="get" action="/admin/queues/open">
<label for="eventId">Event id</label>
<input id="eventId" name="eventId" inputmode="numeric" autocomplete="off" required autofocus>
<button>Open</button>
</form>`,
  )
}

/** Sends one of these pages. */
export function sendPage(c: Context<AppEnv>, status: number, html: string): Response {
  return sendText(c, status, html, 'text/html; charset=utf-8', {
    'content-security-policy': PAGE_CSP,
    // With `no-referrer`, a browser sends `Origin: null` with the form. Over plain HTTP it sends no
    // `Sec-Fetch-Site` either, so our form would look like that of another site.
    'referrer-policy': 'same-origin',
  })
}
