import { isRegistrableUserId, isUserId, ROLES } from '@ticket-line/shared'
import { z } from 'zod'
import { afterParameter, decodeTextCursor, nextSchema, pageQuery } from '../http/paging.js'
import { timeSchema, userIdSchema } from '../http/schemas.js'
import { isPassword, MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from './passwords.js'

/** A password. A password that is too long is refused, not truncated. */
const passwordSchema = z
  .string({ error: 'must be a string' })
  .refine(isPassword, {
    error: `must have ${MIN_PASSWORD_LENGTH} to ${MAX_PASSWORD_LENGTH} characters`,
  })
  .meta({
    minLength: MIN_PASSWORD_LENGTH,
    maxLength: MAX_PASSWORD_LENGTH,
    example: 'tall ferns by the river',
  })

/** The user id of a new account. */
const newUserIdSchema = userIdSchema
  .refine((value) => !isUserId(value) || isRegistrableUserId(value), {
    error:
      'must be in NFC, without invisible characters, without white space at the start or end, and not "." or ".."',
  })
  .meta({
    id: 'NewUserId',
    description:
      'A user id in NFC. It must not contain format characters (except a zero width joiner between emoji) or line or paragraph separators, must not start or end with white space, and must not be `.` or `..`.',
    minLength: 1,
    maxLength: 128,
    example: 'ada',
  })

/** Body of `POST /register`. */
export const registrationSchema = z
  .strictObject({ userId: newUserIdSchema, password: passwordSchema })
  .meta({
    id: 'Registration',
    example: { userId: 'ada', password: 'tall ferns by the river' },
  })

/** Body of `POST /login`. It accepts all ids that earlier releases let users register. */
export const credentialsSchema = z
  .strictObject({ userId: userIdSchema, password: passwordSchema })
  .meta({
    id: 'Credentials',
    example: { userId: 'ada', password: 'tall ferns by the river' },
  })

/** Body of `PUT /me/password`. */
export const passwordChangeSchema = z
  .strictObject({ password: passwordSchema, newPassword: passwordSchema })
  .meta({
    id: 'PasswordChange',
    example: { password: 'tall ferns by the river', newPassword: 'wide fields after the rain' },
  })

/** Response of `POST /register`. */
export const registeredSchema = z
  .strictObject({ userId: userIdSchema })
  .meta({ id: 'RegisteredUser', example: { userId: 'ada' } })

/** Response of `POST /login` and `POST /token/refresh`. */
export const tokenSchema = z
  .object({
    token: z
      .string()
      .meta({ description: 'Access token (JWT). Send it as `Authorization: Bearer <token>`.' }),
    tokenType: z.literal('Bearer'),
    expiresIn: z
      .int()
      .meta({ description: 'Lifetime of the access token in seconds.', example: 900 }),
    refreshToken: z.string().optional().meta({
      description:
        'Only with `Prefer: return=representation`. Otherwise only the cookie contains it.',
    }),
  })
  .meta({
    id: 'Token',
    example: { token: 'eyJhbGciOiJIUzI1NiJ9.…', tokenType: 'Bearer', expiresIn: 900 },
  })

/** Body of `POST /token/refresh` and `POST /logout`, for clients that do not keep the cookie. */
export const refreshSchema = z
  .strictObject({ refreshToken: z.string({ error: 'must be a string' }) })
  .meta({ id: 'RefreshRequest', example: { refreshToken: 'kP3v….9xQm…' } })

const roleSchema = z.enum(ROLES, { error: 'must be user, organizer or admin' }).meta({ id: 'Role' })

/** Path, body and response of `PUT /users/:userId/role` and `/disabled`. */
export const userParams = z.object({ userId: userIdSchema })
export const roleBody = z
  .strictObject({ role: roleSchema })
  .meta({ id: 'RoleChange', example: { role: 'organizer' } })
export const roleAnswer = z
  .strictObject({ userId: userIdSchema, role: roleSchema })
  .meta({ id: 'UserRole', example: { userId: 'ada', role: 'organizer' } })
const disabledSchema = z.boolean({ error: 'must be true or false' })
export const disabledBody = z
  .strictObject({ disabled: disabledSchema })
  .meta({ id: 'DisabledChange', example: { disabled: false } })
export const disabledAnswer = z
  .strictObject({ userId: userIdSchema, disabled: disabledSchema })
  .meta({ id: 'UserDisabled', example: { userId: 'ada', disabled: false } })

/** Query of `GET /users`. */
export const usersQuery = pageQuery('users').extend({
  after: afterParameter('', (cursor) => decodeTextCursor('users', cursor, isUserId)),
  q: z
    .string()
    .refine((value) => value === '' || isUserId(value), {
      error: 'must be the beginning of a user id',
    })
    .default('')
    .meta({
      description: 'Lists only user ids that begin with this text. Case matters.',
      example: 'ad',
    }),
})

/** Response of `GET /users`. */
export const usersPageSchema = z
  .strictObject({
    users: z.array(
      z
        .strictObject({
          userId: userIdSchema,
          role: roleSchema,
          disabled: z.boolean(),
          createdAt: timeSchema,
        })
        .meta({ id: 'User' }),
    ),
    next: nextSchema,
  })
  .meta({
    id: 'UsersPage',
    example: {
      users: [
        { userId: 'ada', role: 'user', disabled: false, createdAt: '2030-01-15T09:30:00.000Z' },
      ],
      next: null,
    },
  })
