import { render } from 'preact'
import { Page } from '../ui/index.js'

render(<Page title="Tickets">{null}</Page>, document.body)
