import { render } from 'preact'
import { Page } from '../ui/index.js'
import { EventPage } from './event-page.js'
import { SituationView } from './situation.js'
import { UNKNOWN } from './view.js'

const [, path = ''] = /^\/e\/(\d+)$/.exec(location.pathname) ?? []
const eventId = Number(path)
const isValid = Number.isSafeInteger(eventId) && eventId > 0

render(
  isValid ? (
    <EventPage eventId={eventId} />
  ) : (
    <Page title="Tickets">
      <SituationView view={UNKNOWN} onAct={() => undefined} />
    </Page>
  ),
  document.body,
)
