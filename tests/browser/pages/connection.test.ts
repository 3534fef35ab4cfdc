import { afterAll, beforeAll, expect, it } from 'vitest'
import { plain } from '../../proxy/moments.ts'
import { startProxy, type TcpProxy } from '../../proxy/tcp-proxy.ts'
import { button, notSee, see, signIn } from './actions.ts'
import { describePages } from './describe-pages.ts'

describePages('a page whose connection or service fails', (site) => {
  let proxy: TcpProxy
  beforeAll(async () => {
    const port = Number(new URL(site().origin).port)
    proxy = await startProxy({ target: { host: '127.0.0.1', port }, wire: plain })
  })
  afterAll(() => proxy?.close())

  it('says that its connection is lost, and shows the present state when it is back', async () => {
    const eventId = await site().createEvent(9)
    const page = await site().visit(`http://127.0.0.1:${proxy.port}/e/${eventId}`)
    await see(page, /9 of 9 tickets left/)
    proxy.sever()
    await see(page, /The connection is lost/)
    await site().command('book', 'meanwhile', { eventId })
    proxy.restore()
    await see(page, /8 of 9 tickets left/)
    await notSee(page, /The connection is lost/)
  })

  it('books once if the connection breaks before the answer', async () => {
    const eventId = await site().createEvent(9)
    await site().register('unlucky')
    const page = await site().visit(`http://127.0.0.1:${proxy.port}/e/${eventId}`)
    await signIn(page, 'unlucky')
    const [worker] = site().system.workers
    worker?.pause()
    const sent = page.waitForRequest((request) => request.url().endsWith('/book'))
    await button(page, 'Book a ticket').click()
    await sent
    proxy.cutAll()
    worker?.resume()
    await see(page, /You have a ticket/)
    await see(page, /8 of 9 tickets left/)
  })

  it('shows a buyer how many are ahead while the decision takes long', async () => {
    const eventId = await site().createEvent(9)
    await site().register('patient')
    const page = await site().visit(`/e/${eventId}`)
    await signIn(page, 'patient')
    const [worker] = site().system.workers
    worker?.pause()
    await button(page, 'Book a ticket').click()
    await see(page, /It is your turn|ahead of yours/)
    worker?.resume()
    await see(page, /You have a ticket/)
  })

  it('says when it works again after too many requests', async () => {
    const eventId = await site().createEvent(9)
    const { url } = await site().system.addApi({ RATE_LIMIT: '1' })
    const page = await site().visit(`${url}/e/${eventId}`)
    await see(page, /too often|too many requests/)
    await see(page, /\d+:\d\d/)
    expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1)
  })
})
