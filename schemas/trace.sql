-- The trace file: one boot of one guest. See ARCHITECTURE.md, "The trace file".
-- 64-bit addresses and masks are stored as SQLite's signed integers (two's complement).
PRAGMA application_id = 0x436c6b53; -- "ClkS"
PRAGMA user_version = 1;

CREATE TABLE meta (               -- provenance: one row a fact, keys in ARCHITECTURE.md
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
    line     INTEGER NOT NULL,
    address  INTEGER NOT NULL
) STRICT;

CREATE TABLE event_value (        -- captured values, in the profile's order
    event   INTEGER NOT NULL REFERENCES event (seq) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    name    TEXT NOT NULL,
    number  INTEGER,              -- exactly one of number, text; both NULL: not readable
    text    TEXT,
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
    rule     TEXT PRIMARY KEY NOT NULL,
    what     TEXT NOT NULL,
    function TEXT NOT NULL,
    status   TEXT NOT NULL CHECK (status IN ('planted', 'missing', 'refused')),
    note     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (            -- entry counters: was a function reached, how often, first when
    address      INTEGER PRIMARY KEY,
    function     TEXT NOT NULL,
    hits         INTEGER NOT NULL,
    first_run_ns INTEGER,
    first_cpu    INTEGER,
    first_icount INTEGER
) STRICT;
