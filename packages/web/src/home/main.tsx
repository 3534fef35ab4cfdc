import { render } from 'preact'
import { Home } from './home.js'

render(<Home />, document.body)
