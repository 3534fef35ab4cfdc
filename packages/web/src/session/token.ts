export type Role = 'user' | 'organizer' | 'admin'

/** What a page reads of an access token. The API alone decides whether the token is valid. */
export interface TokenPayload {
  userId: string
  role: Role
  expiresAtMs: number
}

/** Reads the payload of a JWT. @throws Error if the text is no JWT with `sub` and `exp` */
export function readToken(token: string): TokenPayload {
  const { sub, exp, role } = payloadOf(token)
  if (typeof sub !== 'string' || typeof exp !== 'number')
    throw new Error('This is not an access token.')
  return {
    userId: sub,
    role: role === 'organizer' || role === 'admin' ? role : 'user',
    expiresAtMs: exp * 1000,
  }
}

function payloadOf(token: string): Record<string, unknown> {
  try {
    const [, payload = ''] = token.split('.')
    const binary = atob(payload.replaceAll('-', '+').replaceAll('_', '/'))
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0))
    const parsed: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
