import { createHmac, createSecretKey } from 'node:crypto'

const JWT_HEADER = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')
const LIFETIME_S = 3600

/** Returns a function that signs a token. */
export function createSigner(
  secret: string,
  nowMs: number,
): (userId: string, tokenId: string, role?: 'user' | 'admin') => string {
  const key = createSecretKey(secret, 'utf8')
  const issuedAt = Math.floor(nowMs / 1000)
  return (userId, tokenId, role = 'user') => {
    const claims = {
      sub: userId,
      role,
      iat: issuedAt,
      exp: issuedAt + LIFETIME_S,
      jti: tokenId,
    }
    const signed = `${JWT_HEADER}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
    return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
  }
}

/**
 * A POST request with a JSON body as HTTP/1.1 text.
 *
 * @param headers further header lines, each with its line end
 */
export function postRequest(path: string, token: string, body: string, headers = ''): string {
  return (
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${token}\r\n${headers}` +
    `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  )
}

/** @param headers further header lines, each with its line end */
export function getRequest(path: string, token: string | undefined, headers = ''): string {
  const authorization = token === undefined ? '' : `authorization: Bearer ${token}\r\n`
  return `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${authorization}${headers}\r\n`
}

/** Many requests in one buffer, so that sending one costs only a view of it. */
export interface RequestBook {
  count: number
  at(index: number): Uint8Array
}

/** Writes all requests before the run, so that building and signing them is not measured. */
export function writeRequests(count: number, text: (index: number) => string): RequestBook {
  let bytes = Buffer.allocUnsafe(Math.max(count, 1) * 512)
  const ends = new Float64Array(count)
  let end = 0
  for (let i = 0; i < count; i++) {
    const request = text(i)
    if (end + request.length > bytes.length) bytes = Buffer.concat([bytes], bytes.length * 2)
    end += bytes.write(request, end, 'latin1')
    ends[i] = end
  }
  return {
    count,
    at: (index) => bytes.subarray(index === 0 ? 0 : (ends[index - 1] as number), ends[index]),
  }
}
