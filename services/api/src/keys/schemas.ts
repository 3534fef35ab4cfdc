import { MAX_KEYS_PER_USER } from '@ticket-line/shared'

/** Message of `api_key_not_found`. */
export const API_KEY_NOT_FOUND = 'You have no such API key.'
/** Message of `too_many_api_keys`. */
export const TOO_MANY_API_KEYS = `You have ${MAX_KEYS_PER_USER} API keys, which is the maximum. Delete one first.`
