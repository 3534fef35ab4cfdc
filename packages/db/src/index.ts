export * from './client.js'
export * from './faults.js'
export * from './migrations.js'
export * as schema from './schema.js'
