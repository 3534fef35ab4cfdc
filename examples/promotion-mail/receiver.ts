import { createServer, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { createTransport } from 'nodemailer'
import { Webhook } from 'standardwebhooks'

/**
 * What ticket-line sends. A promotion with `expiresAt` is an offer: confirm it before that time.
 */
type Message =
  | { type: 'waitlist.promoted'; data: { eventId: number; userId: string; expiresAt?: string } }
  | { type: 'webhook.test' }

/** Creates a server that mails everybody who is promoted. User ids must be mail addresses. */
export function createReceiver(options: { secret: string; smtpUrl: string; from: string }): Server {
  const webhook = new Webhook(options.secret)
  const mailer = createTransport(options.smtpUrl, { from: options.from })
  const mailed = new Set<string>()

  /** @returns the status of the response; ticket-line sends a message again until it gets 2xx */
  async function receive(body: string, headers: Record<string, string>): Promise<number> {
    let message: Message
    try {
      message = webhook.verify(body, headers) as Message
    } catch {
      return 401
    }
    const id = headers['webhook-id'] as string
    if (message.type !== 'waitlist.promoted' || mailed.has(id)) return 204
    const { eventId, userId, expiresAt } = message.data
    await mailer.sendMail({
      to: userId,
      subject: `You have a ticket for event ${eventId}`,
      text: expiresAt === undefined ? 'See you there.' : `Please confirm it by ${expiresAt}.`,
      // The same in every attempt, so that mail servers can drop a mail that is sent twice.
      messageId: `<${id}@ticket-line.example>`,
    })
    mailed.add(id)
    return 204
  }

  return createServer(async (request, response) => {
    const headers = request.headers as Record<string, string>
    response.writeHead(await receive(await text(request), headers).catch(() => 503)).end()
  })
}
