import { render } from 'preact'
import { isEventId } from '../event-id.js'
import { Page } from '../ui/index.js'
import { EventPage } from './event-page.js'
import { SituationView } from './situation.js'
import { UNKNOWN } from './view.js'

const id = location.pathname.replace(/^\/e\//, '')

render(
  isEventId(id) ? (
    <EventPage eventId={Number(id)} />
  ) : (
    <Page title="Tickets">
      <SituationView view={UNKNOWN} onAct={() => undefined} />
    </Page>
  ),
  document.body,
)
