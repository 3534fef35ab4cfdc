import { it } from 'vitest'
import { copyBuild } from '../fleet/build-copy.ts'
import { GUARDS } from './guards.ts'

// What `npm run faults:mutants` shows takes minutes; that it can still be shown is seen at once.
it.each(GUARDS)('the $name can still be taken out of the build', ({ alsoBroken, remove }) => {
  copyBuild([...(alsoBroken?.patches ?? []), ...remove]).remove()
})
