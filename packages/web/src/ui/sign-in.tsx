import { hasCode } from '@ticket-line/client'
import { useState } from 'preact/hooks'
import { type SessionState, useSession } from '../session/index.js'
import { useAction } from '../use-action.js'
import { Failure } from './failure.js'
import { Field } from './field.js'
import { submitTo } from './submit.js'

export interface SignInProps {
  /** Why to sign in, for example `Sign in to book a ticket.` */
  reason?: string
}

type Mode = 'signIn' | 'register' | 'token'

/**
 * Sign-in and registration in place. If the sign-in has ended or could not be checked, it says so
 * instead of the reason. Renders nothing for somebody who is signed in.
 */
export function SignIn({ reason }: SignInProps) {
  const session = useSession()
  const [mode, setMode] = useState<Mode>('signIn')
  if (session.kind === 'signedIn') return null
  if (session.kind === 'loading') return <p aria-busy="true">Checking your sign-in…</p>
  const why = whyOf(session, reason)
  return (
    <section class="sign-in" aria-label="Sign in">
      {why !== undefined && <p>{why}</p>}
      {session.reason === 'unreachable' && (
        <button type="button" onClick={() => void session.restore()}>
          Try again
        </button>
      )}
      {mode === 'token' ? <TokenForm /> : <PasswordForm key={mode} mode={mode} onMode={setMode} />}
    </section>
  )
}

function whyOf(
  { reason }: Extract<SessionState, { kind: 'signedOut' }>,
  given: string | undefined,
): string | undefined {
  if (reason === 'ended') return 'Your sign-in has ended. Sign in again to go on.'
  if (reason === 'unreachable')
    return 'Your sign-in could not be checked, because the service did not answer.'
  return given
}

interface PasswordFormProps {
  mode: 'signIn' | 'register'
  onMode: (mode: Mode) => void
}

function PasswordForm({ mode, onMode }: PasswordFormProps) {
  const session = useSession()
  const isNew = mode === 'register'
  const action = useAction(async (form: HTMLFormElement) => {
    const data = new FormData(form)
    const credentials = {
      userId: String(data.get('userId')),
      password: String(data.get('password')),
    }
    try {
      await (isNew ? session.register(credentials) : session.signIn(credentials))
    } catch (error) {
      // There are no local accounts: tokens come from somewhere else.
      if (hasCode(error, 'not_found')) onMode('token')
      else throw error
    }
  })
  return (
    <form onSubmit={submitTo(action.run)}>
      <Field
        label="Name"
        name="userId"
        autocomplete="username"
        autocapitalize="none"
        spellcheck={false}
        maxLength={128}
        required
      />
      <Field
        label="Password"
        name="password"
        type="password"
        autocomplete={isNew ? 'new-password' : 'current-password'}
        hint={isNew ? 'At least 8 characters.' : undefined}
        minLength={isNew ? 8 : undefined}
        maxLength={128}
        required
      />
      <Failure error={action.error} />
      <div class="actions">
        <button type="submit" aria-busy={action.isRunning} disabled={action.isRunning}>
          {isNew ? 'Create account' : 'Sign in'}
        </button>
        <button
          type="button"
          class="secondary outline"
          onClick={() => {
            action.reset()
            onMode(isNew ? 'signIn' : 'register')
          }}
        >
          {isNew ? 'I have an account' : 'I am new here'}
        </button>
      </div>
    </form>
  )
}

function TokenForm() {
  const { signInWithToken } = useSession()
  const action = useAction(async (form: HTMLFormElement) => {
    const token = String(new FormData(form).get('token')).trim()
    if (token.split('.').length !== 3) throw new Error('not a token')
    await signInWithToken(token)
  })
  return (
    <form onSubmit={submitTo(action.run)}>
      <p>
        This installation has no accounts of its own. Get an access token from your identity
        provider, and paste it here. It is kept until you close this page.
      </p>
      <Field
        label="Access token"
        name="token"
        type="password"
        autocomplete="off"
        problem={action.error === undefined ? undefined : 'This token is not valid.'}
        required
      />
      <button type="submit" aria-busy={action.isRunning} disabled={action.isRunning}>
        Sign in
      </button>
    </form>
  )
}
