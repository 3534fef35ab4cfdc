import type { RouteDocs } from '../http/route-docs.js'
import {
  disabledAnswer,
  refreshSchema,
  registeredSchema,
  roleAnswer,
  tokenSchema,
  usersPageSchema,
} from './schemas.js'

const prefer = {
  Prefer: '`return=representation` puts the refresh token into the body as well (RFC 7240).',
}

const grantHeaders = {
  'Set-Cookie': 'The refresh token: `HttpOnly`, `SameSite=Strict`, `Path=/token`.',
  'Preference-Applied': 'The preference that was used.',
}

export const registerDocs: RouteDocs = {
  tag: 'Accounts',
  summary: 'Make an account',
  description:
    'The 3,000 most common passwords are refused, and so are user ids that could look like others: with invisible characters, with white space at their ends, or not in NFC.',
  responses: { 201: { description: 'The account exists.', schema: registeredSchema } },
  problems: ['user_exists', 'busy', 'unavailable'],
}

export const loginDocs: RouteDocs = {
  tag: 'Accounts',
  summary: 'Sign in with a password',
  description: 'Unknown user and wrong password get one answer and cost the same.',
  requestHeaders: prefer,
  responses: { 200: { description: 'Signed in.', schema: tokenSchema, headers: grantHeaders } },
  problems: ['invalid_credentials', 'busy', 'unavailable'],
}

export const refreshDocs: RouteDocs = {
  tag: 'Accounts',
  summary: 'Exchange a refresh token for new tokens',
  description:
    'The refresh token comes in the body, or in its cookie. It is good once: when it comes again, everything that descends from the same sign-in ends.',
  optionalBody: refreshSchema,
  requestHeaders: prefer,
  responses: { 200: { description: 'New tokens.', schema: tokenSchema, headers: grantHeaders } },
  problems: ['invalid_request', 'unauthorized', 'unavailable'],
}

export const logoutDocs: RouteDocs = {
  tag: 'Accounts',
  summary: 'Sign out',
  description:
    'Ends the sign-in that the access token, or the refresh token in the body or its cookie, comes from. Access tokens already given out are good until they expire.',
  optionalBody: refreshSchema,
  responses: { 204: { description: 'Signed out; the cookie is cleared.' } },
  problems: ['invalid_request', 'unavailable'],
}

export const roleDocs: RouteDocs = {
  tag: 'Accounts',
  summary: 'Give a user a role',
  description:
    'It counts for tokens already given out as well, within a second. The last admin keeps the role.',
  responses: { 200: { description: 'The role as it is now.', schema: roleAnswer } },
  problems: ['user_not_found', 'last_admin', 'unavailable'],
}

export const disabledDocs: RouteDocs = {
  tag: 'Accounts',
  summary: 'Disable an account, or enable it again',
  description:
    'Disabling ends everything that was given out for the account within a second: access tokens, refresh tokens and dashboard cookies. Enabling revives none of it; the user signs in again. The last admin cannot be disabled.',
  responses: { 200: { description: 'How it is now.', schema: disabledAnswer } },
  problems: ['user_not_found', 'last_admin', 'unavailable'],
}

export const usersDocs: RouteDocs = {
  tag: 'Accounts',
  summary: 'List accounts, in the order of their ids',
  responses: { 200: { description: 'A page.', schema: usersPageSchema } },
  problems: ['unavailable'],
}

export const passwordDocs: RouteDocs = {
  tag: 'Accounts',
  summary: 'Change my password',
  description:
    'Ends all other sign-ins of the account within a second: their access tokens, refresh tokens and dashboard cookies. The sign-in that the access token of this request comes from stays. A wrong password counts like a failed sign-in, and `newPassword` must not be one of the 3,000 most common ones.',
  responses: { 204: { description: 'The password is changed.' } },
  problems: ['invalid_credentials', 'busy', 'unavailable'],
}

export const keysDocs: RouteDocs = {
  tag: 'Accounts',
  summary: 'Public keys that tokens of this installation are signed with',
  description:
    'A JSON Web Key Set (RFC 7517); there while the installation has EdDSA keys of its own.',
  responses: { 200: { description: 'The keys; two of them during a rotation.' } },
}
