export * from './decide.js'
export * from './event-state.js'
export * from './evolve.js'
export * from './fold.js'
