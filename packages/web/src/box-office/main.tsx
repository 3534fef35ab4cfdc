import './box-office.css'
import { render } from 'preact'
import { BoxOffice } from './index.js'

render(<BoxOffice />, document.body)
