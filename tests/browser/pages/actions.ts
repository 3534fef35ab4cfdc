import type { Page } from 'playwright-core'

/** The password of every account. */
export const password = 'a long walk by the sea'

/** Waits until the page shows a text that matches. */
export function see(page: Page, text: RegExp | string): Promise<void> {
  return page.getByRole('main').getByText(text).filter({ visible: true }).first().waitFor()
}

/** Waits until the page shows no text that matches. */
export function notSee(page: Page, text: RegExp | string): Promise<void> {
  const shown = page.getByRole('main').getByText(text).filter({ visible: true })
  return shown.first().waitFor({ state: 'detached' })
}

export function button(page: Page, name: RegExp | string) {
  return page.getByRole('button', { name })
}

/** Signs in with the form that the page shows. */
export async function signIn(page: Page, userId: string): Promise<void> {
  await fillIn(page, userId, password)
  await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click()
  await button(page, 'Sign out').waitFor()
}

/** Creates an account with the form that the page shows. Its owner is signed in afterwards. */
export async function createAccount(page: Page, userId: string): Promise<void> {
  await button(page, 'I am new here').click()
  await fillIn(page, userId, password)
  await button(page, 'Create account').click()
  await button(page, 'Sign out').waitFor()
}

export async function fillIn(page: Page, userId: string, typed: string): Promise<void> {
  await page.getByLabel('Name', { exact: true }).fill(userId)
  await page.getByLabel('Password', { exact: true }).fill(typed)
}
