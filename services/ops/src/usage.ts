/** What `--help` says, for the tool and for each command. */
export const USAGE = {
  '': `Usage: npm run ops -- <command> [options]

  status       show versions, both servers, processes and undecided commands
  verify       hold every promise against the rows
  reconcile    find lines nobody serves and jobs left behind; mend them with --apply
  event <id>   show an event: its line, who serves it, what waits, the last decisions
  drain        wait until all lines are empty
  prune        remove what nobody can ask for any more
  user         list accounts, change a role, reset a password, disable and enable
  claim        show to which installation the keys in Redis belong; take them over

Every command takes --json (one JSON object on standard output) and --help; --version
prints the version.
Exit codes: 0 all is well, 1 something was found or did not come in time, 2 the command
line or a setting cannot be used, 3 a server is out of reach, 4 the tool itself failed.
DATABASE_URL, REDIS_URL, SHARED_LINES, SHARDS and KEY_PREFIX are read from the environment
or .env.
`,
  status: `Usage: npm run ops -- status [--json]

Shows the installation in a few lines: versions, PostgreSQL and Redis, how many processes
are connected, and how many commands wait in all lines. It changes nothing.

Exit code 1: something needs attention.
`,
  verify: `Usage: npm run ops -- verify [--event <id>]... [--examples <n>] [--timeout <s>] [--json]

Holds every promise against the rows of PostgreSQL, as of one moment, in a read-only
snapshot: safe on a live system and on a standby. With REDIS_URL it also checks that Redis,
the layout and the lines are those of this installation. Needs DATABASE_URL alone.

  --event <id>     look at this event alone; may be given several times
  --examples <n>   show at most n cases of each broken promise (default 5)
  --timeout <s>    longest time that one check may take (default 600)

Exit code 1: a promise is broken, or there is no such event.
`,
  reconcile: `Usage: npm run ops -- reconcile [--apply] [--settle <s>] [--json]

Compares the lines in Redis with what is decided in PostgreSQL, twice, and shows what was
wrong both times: lines with jobs that nobody serves, jobs whose outcome is stored but that
never completed, failed jobs that are undecided, jobs in no list, counts left behind, jobs
that a worker set aside.

  --apply          mend what can be mended, and look again; safe to repeat, decides nothing
  --settle <s>     pause between two looks (default 3)

Exit code 1: something is wrong, or still wrong after --apply.
`,
  event: `Usage: npm run ops -- event <id> [--decisions <n>] [--json]

Shows an event: its counters, its line, the active job with its lock and its worker, the
worker that served the line last, what waits, and the last decisions.

  --decisions <n>  how many of the last decisions to show (default 10)

Exit code 1: there is no such event.
`,
  drain: `Usage: npm run ops -- drain [--timeout <s>] [--json]

Waits until all lines are empty. API processes go on adding commands, so stop them first
(they store what they hold), and leave the workers running. If no API process runs and all
lines are empty, SHARED_LINES, SHARDS and KEY_PREFIX may be changed: the next process that
starts records its values, and all others need the same ones.

  --timeout <s>    give up after this long (default 300)

Exit code 1: something is left.
`,
  prune: `Usage: npm run ops -- prune [--older-than <hours>] [--json]

Removes outcomes, idempotency keys and refresh tokens that nobody can ask for any more, and
all finished jobs, now instead of in the workers' own time.

  --older-than <hours>   age of outcomes that go (default OUTCOME_RETENTION_HOURS or 48, at
                         least 24)
`,
  user: `Usage: npm run ops -- user <action> [options] [--json]

  user list [<beginning>]       list accounts, or only those whose id begins with this
    --role <role>               only accounts with this role
    --limit <n>                 at most n of them (default 100)
  user promote <id>             make a user an admin
  user role <id> <role>         give a user a role: user, organizer or admin
  user reset-password <id>      set a new random password and print it
  user disable <id>             end all sign-ins of an account, and refuse new ones
  user enable <id>              let it sign in again

Needs only DATABASE_URL and no admin's password: anybody who may write to the database can use it.
Running processes notice a change within a second. Resetting a password ends all sign-ins of
the account, like any change of password. The last admin can be neither demoted nor disabled.
Put "--" before an id that begins with "-".

Exit code 1: there is no such account, or it is the last admin.
`,
  claim: `Usage: npm run ops -- claim [--adopt | --discard] [--json]

Shows to which installation the keys of KEY_PREFIX in Redis belong. Needed only if they
belong to another installation than this database. The next process that starts claims a
Redis that was flushed.

  --adopt          the keys belong to this database, which was restored from a time before
                   it had its id: their commands are decided here
  --discard        the other installation is gone: all its keys are deleted, and with them
                   its undecided commands

Exit code 1: they belong to another installation, or processes of it still run.
`,
} as const

export type CommandName = Exclude<keyof typeof USAGE, ''>
