import { expect, it } from 'vitest'
import { button, see } from './actions.ts'
import { describePages } from './describe-pages.ts'
import { inSeconds } from './site.ts'

describePages('the home page', (site) => {
  it('says that no event is on sale', async () => {
    await see(await site().visit('/'), 'No event is on sale.')
  })

  it('lists the events that are on sale or will be, and links to the other pages', async () => {
    const opensAt = inSeconds(3600)
    await site().createEvent(1200, { name: 'Open air', startsAt: '2031-06-01T18:00:00Z' })
    await site().createEvent(0, { name: 'Gala' })
    await site().createEvent(5, { name: 'Premiere', opensAt })
    await site().createEvent(5, { name: 'Secret meeting', listed: false })
    const page = await site().visit('/')
    const card = (name: string) => page.getByRole('listitem').filter({ hasText: name })
    await card('Open air').getByText('1,200 tickets left').waitFor()
    await card('Open air').getByText('Sunday, 1 June 2031').waitFor()
    await card('Gala').getByText('All tickets are taken.').waitFor()
    await card('Premiere').getByText('The sale has not begun yet.').waitFor()
    expect(await card('Secret meeting').count()).toBe(0)
    expect(await page.getByRole('searchbox').count()).toBe(0)
    for (const [name, path] of [
      ['Box office', '/box-office'],
      ['HTTP API', '/docs'],
      ['Queue dashboard', '/admin/queues'],
    ] as const) {
      const link = page.getByRole('main').getByRole('link', { name })
      expect(await link.getAttribute('href')).toBe(path)
    }
    await page.getByRole('link', { name: 'Open air' }).click()
    await page.getByRole('heading', { level: 1, name: 'Open air' }).waitFor()
  })

  it('shows a long list part by part, and finds events by their names', async () => {
    const names = Array.from({ length: 30 }, (_, index) => `Reading ${index + 1}`)
    for (const name of names) await site().createEvent(1, { name })
    const page = await site().visit('/')
    const cards = page.getByRole('listitem').filter({ hasText: 'Reading' })
    await button(page, 'Show more events').click()
    await expect.poll(() => cards.count()).toBe(names.length)
    expect(await button(page, 'Show more events').count()).toBe(0)

    const search = page.getByRole('searchbox')
    await search.fill('reading 3')
    await search.press('Enter')
    await expect.poll(() => cards.allInnerTexts()).toHaveLength(2)
    await search.fill('Nothing')
    await button(page, 'Search').click()
    await see(page, 'No event begins with these letters.')
    await search.fill('')
    await search.press('Enter')
    await button(page, 'Show more events').waitFor()
  })
})
