import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Unit of CPU times in /proc: USER_HZ is 100 on every Linux platform that Node supports. */
const TICK_MS = 10

interface Stat {
  parent: number
  /** CPU time of all its threads, ended ones included. */
  ownMs: number
  /** CPU time of its children that ended and were reaped. */
  endedChildrenMs: number
}

function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The process name in parentheses may contain spaces and parentheses, so count the fields after
    // the last one (proc_pid_stat(5): ppid is field 4).
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const field = (n: number) => Number(fields[n - 3])
    return {
      parent: field(4),
      ownMs: (field(14) + field(15)) * TICK_MS,
      endedChildrenMs: (field(16) + field(17)) * TICK_MS,
    }
  } catch {
    return undefined
  }
}

/** Whether this platform has /proc/<pid>/stat. */
export const canMeasureProcesses = readStat(process.pid) !== undefined

/** @returns the pid of a process's parent; undefined if the process has ended */
export function parentOf(pid: number): number | undefined {
  return readStat(pid)?.parent
}

/** @returns CPU time of a process in ms; 0 if it has ended */
export function cpuMsOf(pid: number): number {
  return readStat(pid)?.ownMs ?? 0
}

/** @returns the pids of a process's live children */
export function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && readStat(pid)?.parent === parent)
}

/** @returns CPU time of a process and all its children, ended ones included, ms */
export function cpuMsOfFamily(parent: number): number {
  const stat = readStat(parent)
  if (stat === undefined) return 0
  const children = childrenOf(parent).map(cpuMsOf)
  return stat.ownMs + stat.endedChildrenMs + children.reduce((sum, ms) => sum + ms, 0)
}

function readKilobytes(file: string, name: string): number {
  try {
    return Number(
      new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'latin1'))?.[1] ?? 0,
    )
  } catch {
    return 0
  }
}

/** Resident memory of one process, MB. */
export function memoryMbOf(pid: number): number {
  return readKilobytes(`/proc/${pid}/status`, 'VmRSS') / 1024
}

/** Memory of a process and its children, MB, with shared pages counted once. */
export function memoryMbOfFamily(parent: number): number {
  const sizes = [parent, ...childrenOf(parent)].map((pid) =>
    readKilobytes(`/proc/${pid}/smaps_rollup`, 'Pss'),
  )
  return sizes.reduce((sum, kilobytes) => sum + kilobytes, 0) / 1024
}

/** Established TCP connections of a process to a port. */
export function connectionsTo(pid: number, port: number): number {
  const sockets = new Set(openSockets(pid))
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  let count = 0
  for (const table of ['tcp', 'tcp6']) {
    for (const line of readLines(`/proc/${pid}/net/${table}`)) {
      // sl local_address rem_address st … inode; state 01 is ESTABLISHED (proc_net_tcp).
      const fields = line.trim().split(/\s+/)
      const remotePort = fields[2]?.split(':')[1]
      if (remotePort === wanted && fields[3] === '01' && sockets.has(fields[9] ?? '')) count++
    }
  }
  return count
}

function openSockets(pid: number): string[] {
  const folder = `/proc/${pid}/fd`
  try {
    return readdirSync(folder).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1] ?? []
      } catch {
        return []
      }
    })
  } catch {
    return []
  }
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'latin1').split('\n')
  } catch {
    return []
  }
}
