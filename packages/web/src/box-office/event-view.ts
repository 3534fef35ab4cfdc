import type { TicketedEvent } from '@ticket-line/client'
import type { TaggedEvent } from '../read-event.js'

/** What the views of an event share. */
export interface EventViewProps extends TaggedEvent {
  /**
   * Called with the event after a change of its settings was decided. It reads the event again,
   * because the answer to the change has no tag. It never throws.
   */
  onDecided(event: TicketedEvent): Promise<void>
  /** Reads the event again. It never throws. */
  refresh(): Promise<void>
}
