import { render } from 'preact'
import { Page } from '../ui/index.js'

render(<Page title="Box office">{null}</Page>, document.body)
