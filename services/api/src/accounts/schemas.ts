import { isRegistrableUserId, isUserId, ROLES } from '@ticket-line/shared'
import { z } from 'zod'
import { decodeTextCursor } from '../http/paging.js'
import { nextSchema, pageQuery, userIdSchema } from '../http/schemas.js'
import { isPassword, MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from './passwords.js'

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

/** A user id that somebody chooses. */
const newUserIdSchema = userIdSchema
  .refine((value) => !isUserId(value) || isRegistrableUserId(value), {
    error:
      'must be in NFC, without invisible characters, without white space at its ends, and not "." or ".."',
  })
  .meta({
    id: 'NewUserId',
    description:
      'A user id in NFC, without format characters (except a zero width joiner between emoji), line or paragraph separators or outer white space, and not `.` or `..`.',
    minLength: 1,
    maxLength: 128,
    example: 'ada',
  })

/** Body of `POST /register`. */
export const registrationSchema = z
  .strictObject({ userId: newUserIdSchema, password: passwordSchema })
  .meta({ id: 'Registration' })

/** Body of `POST /login`: any id that ever registered, whatever the rules were then. */
export const credentialsSchema = z
  .strictObject({ userId: userIdSchema, password: passwordSchema })
  .meta({ id: 'Credentials' })

/** Body of `PUT /me/password`. */
export const passwordChangeSchema = z
  .strictObject({ password: passwordSchema, newPassword: passwordSchema })
  .meta({
    id: 'PasswordChange',
    example: { password: 'tall ferns by the river', newPassword: 'wide fields after the rain' },
  })

export const registeredSchema = z.object({ userId: userIdSchema })

/** Answer of `POST /login` and `POST /token/refresh`. */
export const tokenSchema = z
  .object({
    token: z
      .string()
      .meta({ description: 'Access token (JWT), to be sent as `Authorization: Bearer`.' }),
    tokenType: z.literal('Bearer'),
    expiresIn: z.int().meta({ description: 'Seconds for which the token is good.', example: 900 }),
    refreshToken: z.string().optional().meta({
      description:
        'Only with `Prefer: return=representation`; otherwise a cookie alone carries it.',
    }),
  })
  .meta({ id: 'Token' })

/** Body of `POST /token/refresh` and `POST /logout` where no cookie carries the token. */
export const refreshSchema = z
  .strictObject({ refreshToken: z.string({ error: 'must be a string' }) })
  .meta({ id: 'RefreshRequest' })

export const roleSchema = z
  .enum(ROLES, { error: 'must be user, organizer or admin' })
  .meta({ id: 'Role' })

export const userParams = z.object({ userId: userIdSchema })
export const roleBody = z
  .strictObject({ role: roleSchema })
  .meta({ example: { role: 'organizer' } })
export const roleAnswer = z.object({ userId: userIdSchema, role: roleSchema })

const disabledSchema = z.boolean({ error: 'must be true or false' })
export const disabledBody = z
  .strictObject({ disabled: disabledSchema })
  .meta({ example: { disabled: false } })
export const disabledAnswer = z.object({ userId: userIdSchema, disabled: disabledSchema })

/** `q`, `limit` and `after` of `GET /users`. */
export const usersQuery = pageQuery('users').extend({
  after: z
    .string()
    .optional()
    .transform((cursor, context) => {
      if (cursor === undefined) return ''
      const key = decodeTextCursor('users', cursor, isUserId)
      if (key !== undefined) return key
      context.addIssue('is not a `next` of this list')
      return z.NEVER
    })
    .meta({ description: '`next` of the page before.' }),
  q: z
    .string()
    .refine((value) => value === '' || isUserId(value), {
      error: 'must be the beginning of a user id',
    })
    .default('')
    .meta({ description: 'Only ids that begin with this, compared as they are.', example: 'ad' }),
})

/** Answer of `GET /users`. */
export const usersPageSchema = z
  .strictObject({
    users: z.array(
      z.strictObject({
        userId: userIdSchema,
        role: roleSchema,
        disabled: z.boolean(),
        createdAt: z.iso.datetime().meta({ example: '2030-01-31T18:00:00.000Z' }),
      }),
    ),
    next: nextSchema,
  })
  .meta({ id: 'UsersPage' })
