-- The trace file: one boot of one guest. See ARCHITECTURE.md, "The trace file".
-- 64-bit addresses are stored as SQLite's signed integers (two's complement).
PRAGMA application_id = 0x436c6b53; -- "ClkS"
PRAGMA user_version = 1;

-- Provenance: one row a fact. The store itself writes
--     complete ('0' or '1'), end_reason (how the recording ended), recorded_at (UTC, ISO 8601).
-- The recorder writes the others; a prefix groups them:
--     guest.os ('linux', …), guest.release, guest.banner, guest.build_id, guest.command_line, guest.elf,
--     stub.*, profile.*, plan.*, tool.* (versions), intervention.*
CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE event (              -- a point in the bring-up that a profile names
    seq      INTEGER PRIMARY KEY, -- order of all stops, events and decisions of the trace
    run_ns   INTEGER NOT NULL,    -- time the guest had run, stops excluded
    guest_ns INTEGER,             -- the guest's own time where it is exactly known (replay)
    icount   INTEGER,             -- instructions executed (replay)
    cpu      INTEGER NOT NULL,
    thread   TEXT NOT NULL,       -- the stub's thread id
    what     TEXT NOT NULL,       -- clock.registered, …; x- for a profile's own
    rule     TEXT NOT NULL,       -- the profile's name for the event
    clock    TEXT,                -- the clock it is about
    function TEXT NOT NULL,
    file     TEXT NOT NULL,
    line     INTEGER NOT NULL,    -- 0: not known
    address  INTEGER NOT NULL
) STRICT;

CREATE TABLE event_value (        -- captured values, in the profile's order
    event       INTEGER NOT NULL REFERENCES event (seq) ON DELETE CASCADE,
    ordinal     INTEGER NOT NULL,
    name        TEXT NOT NULL,
    number      INTEGER,          -- one of number, text; both NULL: it could not be read
    is_unsigned INTEGER NOT NULL DEFAULT 0 CHECK (is_unsigned IN (0, 1)), -- 1: add 2^64 to number
    text        TEXT,
    CHECK (number IS NULL OR text IS NULL),
    PRIMARY KEY (event, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE frame (              -- an event's backtrace, innermost first
    event    INTEGER NOT NULL REFERENCES event (seq) ON DELETE CASCADE,
    level    INTEGER NOT NULL,
    function TEXT NOT NULL,
    file     TEXT NOT NULL,
    line     INTEGER NOT NULL,
    address  INTEGER NOT NULL,
    inlined  INTEGER NOT NULL CHECK (inlined IN (0, 1)),
    PRIMARY KEY (event, level)
) STRICT, WITHOUT ROWID;

CREATE TABLE expectation (        -- what the profile looks for, and whether it could be looked for
    rule     TEXT NOT NULL,
    function TEXT NOT NULL,       -- a rule may name alternatives
    what     TEXT NOT NULL,
    status   TEXT NOT NULL CHECK (status IN ('planted', 'missing', 'refused')),
    note     TEXT NOT NULL,
    PRIMARY KEY (rule, function)
) STRICT;                         -- in the profile's order

CREATE TABLE counter (            -- entry counters: was a function reached, how often, first when
    address      INTEGER PRIMARY KEY,
    function     TEXT NOT NULL,
    hits         INTEGER NOT NULL,
    first_run_ns INTEGER,         -- these are NULL where it was never reached
    first_cpu    INTEGER,
    first_icount INTEGER          -- … or where instructions are not counted
) STRICT;
