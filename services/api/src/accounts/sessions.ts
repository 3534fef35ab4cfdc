import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import type { RefreshTokens } from '@ticket-line/db'
import { type Clock, systemClock } from '@ticket-line/shared'
import type { Principal } from '../http/principal.js'

/** How long a sign-in lasts, however often its tokens are exchanged, ms. */
export const SESSION_LIFETIME_MS = 30 * 24 * 3_600_000

/** A sign-in. It is a family of refresh tokens, of which only the latest is valid. */
export interface Session {
  familyId: string
  /** Generation of the account. The access tokens of this sign-in contain it. */
  generation: number
  /** `<family>.<secret>`, so that a spent token still names its family. */
  refreshToken: string
  expiresAt: Date
}

export interface Sessions {
  /**
   * @param account the account as it was when the password was checked
   * @returns `undefined` if the account was disabled or its password changed since then
   */
  start(account: { userId: string; generation: number }): Promise<Session | undefined>
  /**
   * Exchanges a refresh token for the next one of its family. Each token can be exchanged once. A
   * token that is not valid revokes its family, because either the owner or a thief has used it
   * before, and we cannot tell which.
   *
   * @returns `undefined` if the token is spent, unknown or too old, or the account is disabled
   */
  exchange(refreshToken: string): Promise<{ principal: Principal; session: Session } | undefined>
  /**
   * Reads the family of a refresh token that this installation issued, valid or spent. It makes no
   * query, so a forged token costs none.
   *
   * @returns `undefined` for other strings, and for tokens of earlier releases, which have no mark
   */
  familyOf(refreshToken: string): string | undefined
  /** Revokes the family of a refresh token, valid or spent. */
  end(refreshToken: string): Promise<void>
  /** Revokes the family that an access token names in `sid`. Ignores other strings. */
  endFamily(familyId: string): Promise<void>
}

/** True if the `sid` of a token can be the id of a family. */
export function isFamilyId(text: string): boolean {
  return FAMILY_ID.test(text)
}

const FAMILY_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const SECRET = /^[\w-]{43}$/

function familyIdOf(refreshToken: string): string | undefined {
  const [familyId = '', secret = '', ...rest] = refreshToken.split('.')
  return FAMILY_ID.test(familyId) && SECRET.test(secret) && rest.length === 0 ? familyId : undefined
}

/** The secret of a refresh token consists of random bytes, followed by a mark. */
const RANDOM_BYTES = 16
const MARK_BYTES = 16

/** @param markKey key of the mark that distinguishes our refresh tokens from forged ones */
export function createSessions(
  refreshTokens: RefreshTokens,
  markKey: Uint8Array,
  clock: Clock = systemClock,
): Sessions {
  function markOf(familyId: string, random: Uint8Array): Buffer {
    return createHmac('sha256', markKey)
      .update(familyId)
      .update(random)
      .digest()
      .subarray(0, MARK_BYTES)
  }

  function newRefreshToken(familyId: string): string {
    const random = randomBytes(RANDOM_BYTES)
    const secret = Buffer.concat([random, markOf(familyId, random)])
    return `${familyId}.${secret.toString('base64url')}`
  }

  return {
    familyOf(refreshToken) {
      const familyId = familyIdOf(refreshToken)
      if (familyId === undefined) return undefined
      const secret = Buffer.from(refreshToken.slice(familyId.length + 1), 'base64url')
      const mark = markOf(familyId, secret.subarray(0, RANDOM_BYTES))
      return timingSafeEqual(mark, secret.subarray(RANDOM_BYTES)) ? familyId : undefined
    },
    async start({ userId, generation }) {
      const familyId = randomUUID()
      const refreshToken = newRefreshToken(familyId)
      const started = await refreshTokens.start({
        familyId,
        userId,
        generation,
        tokenHash: hashOf(refreshToken),
        lifetimeMs: SESSION_LIFETIME_MS,
      })
      if (!started) return undefined
      return {
        familyId,
        generation,
        refreshToken,
        expiresAt: new Date(clock.wallMs() + SESSION_LIFETIME_MS),
      }
    },
    async exchange(spentToken) {
      const familyId = familyIdOf(spentToken)
      if (familyId === undefined) return undefined
      const refreshToken = newRefreshToken(familyId)
      const family = await refreshTokens.exchange(hashOf(spentToken), hashOf(refreshToken))
      if (family === undefined) {
        await refreshTokens.endFamily(familyId)
        return undefined
      }
      const { userId, role, generation, expiresAt } = family
      return {
        principal: { userId, role },
        session: { familyId, generation, refreshToken, expiresAt },
      }
    },
    async end(refreshToken) {
      const familyId = familyIdOf(refreshToken)
      if (familyId !== undefined) await refreshTokens.endFamily(familyId)
    },
    async endFamily(familyId) {
      if (FAMILY_ID.test(familyId)) await refreshTokens.endFamily(familyId)
    },
  }
}

function hashOf(refreshToken: string): string {
  return createHash('sha256').update(refreshToken).digest('base64url')
}
