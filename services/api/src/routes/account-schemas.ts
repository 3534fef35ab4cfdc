import { z } from 'zod'
import { userIdSchema } from '../http/schemas.js'
import { isPassword, MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from '../identity/password-rule.js'

const passwordError = `must hold ${MIN_PASSWORD_LENGTH} to ${MAX_PASSWORD_LENGTH} characters`

/** A password; long ones are not cut. */
export const passwordSchema = z
  .string({ error: 'must be a string' })
  .refine(isPassword, { error: passwordError })
  .meta({
    minLength: MIN_PASSWORD_LENGTH,
    maxLength: MAX_PASSWORD_LENGTH,
    example: 'tall ferns by the river',
  })

/** Body of `POST /register` and `POST /login`. */
export const credentialsSchema = z
  .strictObject({ userId: userIdSchema, password: passwordSchema })
  .meta({ id: 'Credentials' })

export const registeredSchema = z.object({ userId: userIdSchema })

/** Answer of `POST /login` and `POST /token/refresh`. */
export const tokenSchema = z
  .object({
    token: z.string().meta({ description: 'Access token (JWT), to be sent as `Authorization: Bearer`.' }),
    tokenType: z.literal('Bearer'),
    expiresIn: z.int().meta({ description: 'Seconds for which the token is good.', example: 900 }),
    refreshToken: z.string().optional().meta({
      description: 'Only with `Prefer: return=representation`; otherwise a cookie alone carries it.',
    }),
  })
  .meta({ id: 'Token' })

/** Body of `POST /token/refresh` and `POST /logout` where no cookie carries the token. */
export const refreshSchema = z
  .strictObject({ refreshToken: z.string({ error: 'must be a string' }) })
  .meta({ id: 'RefreshRequest' })

export const roleSchema = z
  .enum(['user', 'organizer', 'admin'], { error: 'must be user, organizer or admin' })
  .meta({ id: 'Role' })

export const userParams = z.object({ userId: userIdSchema })
export const roleBody = z.strictObject({ role: roleSchema })
export const roleAnswer = z.object({ userId: userIdSchema, role: roleSchema })

const disabledSchema = z.boolean({ error: 'must be true or false' })
export const disabledBody = z.strictObject({ disabled: disabledSchema })
export const disabledAnswer = z.object({ userId: userIdSchema, disabled: disabledSchema })
