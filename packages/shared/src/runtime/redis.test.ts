import { describe, expect, it } from 'vitest'
import { reconnection, wasRefused } from './redis.js'

const readOnly = new Error("READONLY You can't write against a read only replica.")

describe('reconnection and wasRefused', () => {
  it.each([
    "READONLY You can't write against a read only replica. script: 5a1b, on @user_script:1.",
    // Redis 6 puts the error of the script before the reply.
    "ERR Error running script (call to f_5a1b): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    'LOADING Redis is loading the dataset in memory',
    'UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)',
    'MISCONF Redis is configured to save RDB snapshots, but it is unable to persist to disk.',
    'NOREPLICAS Not enough good replicas to write.',
    'MOVED 3999 127.0.0.1:6381',
    'CLUSTERDOWN The cluster is down',
  ])('reconnect after a reply of a server that takes no writes: %s', (message) => {
    expect(reconnection(false).reconnectOnError(new Error(message))).toBe(1)
    expect(reconnection(true).reconnectOnError(new Error(message))).toBe(2)
    expect(wasRefused(new Error(message))).toBe(true)
  })

  it.each([
    "OOM command not allowed when used memory > 'maxmemory'.",
    'NOPERM this user has no permissions to run the command',
  ])('do not reconnect after a refusal that every connection would get: %s', (message) => {
    expect(reconnection(true).reconnectOnError(new Error(message))).toBe(false)
    expect(wasRefused(new Error(message))).toBe(true)
  })

  it.each([
    'ERR wrong number of arguments',
    'WRONGTYPE Operation against a key',
    'Command timed out',
  ])('do not take another failure for a refusal: %s', (message) => {
    expect(reconnection(true).reconnectOnError(new Error(message))).toBe(false)
    expect(wasRefused(new Error(message))).toBe(false)
  })
})

describe('reconnection', () => {
  it('pauses longer after each refused connection, however many commands each one refused', () => {
    const { reconnectOnError, retryStrategy } = reconnection(true, () => 0)
    const pauses = [1, 2, 3].map(() => {
      for (let i = 0; i < 5; i++) reconnectOnError(readOnly)
      return retryStrategy(1)
    })

    expect(pauses).toEqual([50, 100, 150])
  })

  it('pauses for at most a second', () => {
    const { reconnectOnError, retryStrategy } = reconnection(true, () => 0)
    for (let i = 0; i < 100; i++) {
      reconnectOnError(readOnly)
      retryStrategy(1)
    }

    expect(retryStrategy(1)).toBe(1000)
    expect(retryStrategy(500)).toBe(1000)
  })

  it('pauses briefly again after ten seconds without a refusal', () => {
    let nowMs = 0
    const { reconnectOnError, retryStrategy } = reconnection(true, () => nowMs)
    for (let i = 0; i < 10; i++) {
      reconnectOnError(readOnly)
      retryStrategy(1)
    }
    nowMs = 11_000
    reconnectOnError(readOnly)

    expect(retryStrategy(1)).toBe(50)
  })
})
