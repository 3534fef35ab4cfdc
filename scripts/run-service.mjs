/** `npm run api`, `worker` and `notifier`: one more process of a service, in this terminal. */
import { runService } from '../tools/dev-stack/run-service.mjs'
import { runMain, UserError } from '../tools/dev-stack/terminal.mjs'

runMain(async () => {
  const [service] = process.argv.slice(2)
  if (service === 'api') return runService('api')
  if (service === 'worker') return runService('booking-worker')
  if (service === 'notifier') return runService('notifier')
  throw new UserError('Usage: node scripts/run-service.mjs api|worker|notifier')
})
