/** What `ops` reads and repairs in lines. */
export {
  findLostAccepted,
  findUnknownAcceptedLines,
  hasAllAccepted,
  type LostJob,
  requireRecovery,
  undecidedJobs,
} from './accepted.js'
export {
  FINDINGS,
  type Finding,
  type FindingKind,
  findingKey,
  findProblems,
  type InspectDeps,
} from './findings.js'
export { type ConnectedProcesses, countProcesses } from './processes.js'
export {
  type ActiveJob,
  commandsIn,
  type LineContents,
  lastProcessedBy,
  readLine,
  readSettle,
  type SettleInLine,
  waitedMs,
} from './read-line.js'
export { repair } from './repair.js'
export { findUnknownLines, type ScannedKeys, scanKeys } from './scan.js'
