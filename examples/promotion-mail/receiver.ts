import { createServer, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { createTransport } from 'nodemailer'
import { Webhook } from 'standardwebhooks'

/** What ticket-line sends when somebody on a waiting list gets a ticket. */
interface Promotion {
  type: 'waitlist.promoted'
  /** An offer has `expiresAt`: it must be confirmed by then. */
  data: { eventId: number; userId: string; bookingId: string; expiresAt?: string }
}

/** Mails everybody who is promoted. The user ids of this example are mail addresses. */
export function createReceiver(options: { secret: string; smtpUrl: string; from: string }): Server {
  const webhook = new Webhook(options.secret)
  const mailer = createTransport(options.smtpUrl)
  const mailed = new Set<string>()

  async function receive(body: string, headers: Record<string, string>): Promise<number> {
    let change: Promotion | { type: 'webhook.test' }
    try {
      change = webhook.verify(body, headers) as typeof change
    } catch {
      return 401
    }
    const id = headers['webhook-id'] as string
    if (change.type !== 'waitlist.promoted' || mailed.has(id)) return 204
    const { eventId, userId, expiresAt } = change.data
    const subject = `You have a ticket for event ${eventId}`
    const task = expiresAt === undefined ? 'See you there.' : `Please confirm it by ${expiresAt}.`
    // The same Message-ID in every attempt lets mail servers drop a mail that is sent twice.
    const messageId = `<${id}@ticket-line.example>`
    await mailer.sendMail({ from: options.from, to: userId, subject, text: task, messageId })
    mailed.add(id)
    return 204
  }

  return createServer(async (request, response) => {
    const headers = request.headers as Record<string, string>
    // ticket-line repeats a message that is not answered with 2xx.
    const status = await receive(await text(request), headers).catch(() => 503)
    response.writeHead(status).end()
  })
}
