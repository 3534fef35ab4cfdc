import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import type { RefreshTokens } from '@ticket-line/db'
import type { Principal } from '../http/principal.js'

/** How long one sign-in lasts, however often its tokens are exchanged. */
export const SESSION_LIFETIME_MS = 30 * 24 * 3_600_000

/** One sign-in: a family of refresh tokens, of which the last one is good. */
export interface Session {
  familyId: string
  /** Generation of the account, for the access tokens of this sign-in. */
  generation: number
  /** `<family>.<secret>`: a token that is spent still says which family it belongs to. */
  refreshToken: string
  expiresAt: Date
}

export interface Sessions {
  /**
   * @param account as it was when the password was checked
   * @returns `undefined` if the account was disabled or got another password since then
   */
  start(account: { userId: string; generation: number }): Promise<Session | undefined>
  /**
   * Exchanges a refresh token, once. A token that is not valid ends its family: either the owner or
   * a thief has used it before, and we cannot know which.
   * @returns `undefined` if it is spent, unknown or too old, or the account is disabled
   */
  exchange(refreshToken: string): Promise<{ principal: Principal; session: Session } | undefined>
  /**
   * The family of a refresh token that this installation made, good or spent. It asks no server, so
   * that made-up tokens are recognized before anything is looked up for them.
   * @returns `undefined` for other texts, and for tokens that were made before tokens had a mark
   */
  familyOf(refreshToken: string): string | undefined
  /** Ends the family of a refresh token, good or spent. */
  end(refreshToken: string): Promise<void>
  /** Ends the family that an access token names in `sid`; what is no id of a family is ignored. */
  endFamily(familyId: string): Promise<void>
}

/** True if the `sid` of a token can be one of our sign-ins. */
export function isFamilyId(text: string): boolean {
  return FAMILY_ID.test(text)
}

const FAMILY_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const SECRET = /^[\w-]{43}$/

function familyIdOf(refreshToken: string): string | undefined {
  const [familyId = '', secret = '', ...rest] = refreshToken.split('.')
  return FAMILY_ID.test(familyId) && SECRET.test(secret) && rest.length === 0 ? familyId : undefined
}

/** A secret consists of random bytes and a mark, which follows them. */
const CHANCE_BYTES = 16
const MARK_BYTES = 16

/** @param markKey key of the mark that distinguishes our refresh tokens from made-up ones */
export function createSessions(refreshTokens: RefreshTokens, markKey: Uint8Array): Sessions {
  function markOf(familyId: string, chance: Uint8Array): Buffer {
    return createHmac('sha256', markKey)
      .update(familyId)
      .update(chance)
      .digest()
      .subarray(0, MARK_BYTES)
  }

  function newRefreshToken(familyId: string): string {
    const chance = randomBytes(CHANCE_BYTES)
    const secret = Buffer.concat([chance, markOf(familyId, chance)])
    return `${familyId}.${secret.toString('base64url')}`
  }

  return {
    familyOf(refreshToken) {
      const familyId = familyIdOf(refreshToken)
      if (familyId === undefined) return undefined
      const secret = Buffer.from(refreshToken.slice(familyId.length + 1), 'base64url')
      const mark = markOf(familyId, secret.subarray(0, CHANCE_BYTES))
      return timingSafeEqual(mark, secret.subarray(CHANCE_BYTES)) ? familyId : undefined
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
        expiresAt: new Date(Date.now() + SESSION_LIFETIME_MS),
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
