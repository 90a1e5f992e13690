-- The trace file: one boot of one guest. See ARCHITECTURE.md, "The trace file".
-- 64-bit addresses are stored as SQLite's signed integers (two's complement).
PRAGMA application_id = 0x436c6b53; -- "ClkS"
PRAGMA user_version = 3;

-- Provenance: one row a fact. The store itself writes
--     complete ('0' or '1'), end_reason (how the recording ended), recorded_at (UTC, ISO 8601).
-- The recorder writes the others; a prefix groups them:
--     guest.os ('linux', …), guest.release, guest.banner, guest.build_id, guest.command_line, guest.elf,
--     stub.*, profile.*, plan.*, tool.* (versions), told.* (why cpuid or msr is not complete)
--     stood.in, stood.run_ns: where the guest stood, and when, at the end of a recording that did not see the boot's
CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE event (              -- a point in the bring-up that a profile names
    seq      INTEGER PRIMARY KEY, -- order of all stops, events and decisions of the trace
    run_ns   INTEGER NOT NULL CHECK (run_ns >= 0), -- time the guest had run, stops excluded
    host_ns  INTEGER NOT NULL CHECK (host_ns >= 0), -- time since the recording began, stops included
    guest_ns INTEGER,             -- the guest's own time where it is exactly known (replay)
    icount   INTEGER,             -- instructions executed (replay)
    tsc      INTEGER,             -- the guest's own, read by an instruction of its kernel; NULL: not read
    cpu      INTEGER NOT NULL CHECK (cpu >= -1), -- -1: not known (from a log)
    thread   TEXT NOT NULL,       -- the stub's thread id
    what     TEXT NOT NULL,       -- clock.registered, …; x- for a profile's own
    rule     TEXT NOT NULL,       -- the profile's name for the event
    clock    TEXT,                -- the clock it is about
    function TEXT NOT NULL,
    file     TEXT NOT NULL,
    line     INTEGER NOT NULL CHECK (line >= 0), -- 0: not known
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
    level    INTEGER NOT NULL CHECK (level >= 0),
    function TEXT NOT NULL,
    file     TEXT NOT NULL,
    line     INTEGER NOT NULL CHECK (line >= 0),
    address  INTEGER NOT NULL,
    inlined  INTEGER NOT NULL CHECK (inlined IN (0, 1)),
    PRIMARY KEY (event, level)
) STRICT, WITHOUT ROWID;

CREATE TABLE expectation (        -- coverage: what the profile looks for, could it be watched, from when to when, and what came
    rule     TEXT NOT NULL,
    function TEXT NOT NULL,       -- a rule may name alternatives
    what     TEXT NOT NULL,
    status   TEXT NOT NULL CHECK (status IN ('planted', 'inlined', 'missing', 'refused', 'untold')),
    note     TEXT NOT NULL,
    optional INTEGER NOT NULL DEFAULT 0 CHECK (optional IN (0, 1)), -- a boot without it is nothing to speak of
    within   TEXT NOT NULL DEFAULT '', -- the functions that it is inlined into, here or as well
    from_ns  INTEGER CHECK (from_ns >= 0), -- time the guest had run when the watch began; NULL: there was none, or it is not known
    to_ns    INTEGER CHECK (to_ns >= 0), -- … and when it ended; NULL: that was not seen
    reached  INTEGER CHECK (reached >= 0), -- how often the guest came there while it was watched; NULL: not known
    matched  INTEGER CHECK (matched >= 0), -- how often the rule's condition then held: its events
    unfinished INTEGER CHECK (unfinished >= 0), -- calls that had not returned at the end, of a rule that waits for the return
    PRIMARY KEY (rule, function)
) STRICT;                         -- in the profile's order

-- What the guest is told: read by instructions of its own kernel, at the first event ('begin') and at the end ('end').
CREATE TABLE cpuid (
    moment  TEXT NOT NULL CHECK (moment IN ('begin', 'end')),
    leaf    INTEGER NOT NULL CHECK (leaf BETWEEN 0 AND 4294967295), -- EAX
    subleaf INTEGER NOT NULL CHECK (subleaf BETWEEN 0 AND 4294967295), -- ECX
    eax     INTEGER NOT NULL CHECK (eax BETWEEN 0 AND 4294967295),
    ebx     INTEGER NOT NULL CHECK (ebx BETWEEN 0 AND 4294967295),
    ecx     INTEGER NOT NULL CHECK (ecx BETWEEN 0 AND 4294967295),
    edx     INTEGER NOT NULL CHECK (edx BETWEEN 0 AND 4294967295),
    PRIMARY KEY (moment, leaf, subleaf)
) STRICT, WITHOUT ROWID;

CREATE TABLE msr (
    moment TEXT NOT NULL CHECK (moment IN ('begin', 'end')),
    number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 4294967295),
    value  INTEGER NOT NULL,
    PRIMARY KEY (moment, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (            -- entry counters: was a function reached, how often, first when
    address      INTEGER PRIMARY KEY,
    function     TEXT NOT NULL,
    hits         INTEGER NOT NULL CHECK (hits >= 0),
    first_run_ns INTEGER CHECK (first_run_ns >= 0), -- these are NULL where it was never reached
    first_cpu    INTEGER,
    first_icount INTEGER          -- … or where instructions are not counted
) STRICT;

-- Branch traces. What a traced function looks like, as it was analysed:

CREATE TABLE function (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    entry      INTEGER NOT NULL,
    file       TEXT NOT NULL,
    line       INTEGER NOT NULL CHECK (line >= 0), -- 0: not known
    determined INTEGER NOT NULL CHECK (determined IN (0, 1)), -- the probes tell every path
    note       TEXT NOT NULL      -- what was left out, and why; empty where nothing was
) STRICT;

CREATE TABLE block (
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    number   INTEGER NOT NULL CHECK (number BETWEEN 0 AND 999999), -- 0 is the entry
    from_address INTEGER NOT NULL,
    to_address   INTEGER NOT NULL, -- the first one behind it
    depth    INTEGER NOT NULL CHECK (depth >= 0), -- of loops around it
    cold     INTEGER NOT NULL CHECK (cold IN (0, 1)),
    gaps     INTEGER NOT NULL CHECK (gaps >= 0), -- bits: 1 window, 2 patched text, 4 budget: why its way cannot always be told
    PRIMARY KEY (function, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE edge (
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    source   INTEGER NOT NULL,    -- blocks
    target   INTEGER NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('next', 'taken', 'jump', 'table', 'alternate')),
    PRIMARY KEY (function, source, target, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE instruction (
    function  INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    address   INTEGER NOT NULL,
    block     INTEGER NOT NULL,
    kind      TEXT NOT NULL,      -- branch, call, cmov, setcc, …
    condition TEXT NOT NULL,      -- "ne", …; empty where it has none
    flags     INTEGER NOT NULL DEFAULT 0 CHECK (flags >= 0), -- bits: 1 reads the arithmetic flags, 2 writes them
    target    INTEGER,            -- of a direct branch, jump or call
    text      TEXT NOT NULL,      -- disassembly, AT&T syntax
    file      TEXT NOT NULL,
    line      INTEGER NOT NULL CHECK (line >= 0),
    inlined   TEXT NOT NULL,      -- the innermost inlined function it comes from; empty: the function itself
    PRIMARY KEY (function, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE variable (           -- what an operand of the comparison before a branch holds, by DWARF
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    address  INTEGER NOT NULL,    -- of the branch
    operand  TEXT NOT NULL,       -- as in the comparison's text, such as "%rax"
    name     TEXT NOT NULL,       -- in the source
    PRIMARY KEY (function, address, operand)
) STRICT, WITHOUT ROWID;

CREATE TABLE source (             -- the text of lines, where the source was at hand
    file TEXT NOT NULL,
    line INTEGER NOT NULL CHECK (line >= 0),
    text TEXT NOT NULL,
    PRIMARY KEY (file, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE window (             -- code in which a stop would change what the clocks read
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    number   INTEGER NOT NULL CHECK (number >= 0),
    from_address INTEGER NOT NULL,
    to_address   INTEGER NOT NULL,
    polls    INTEGER NOT NULL CHECK (polls IN (0, 1)),
    PRIMARY KEY (function, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE probe (
    function  INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    address   INTEGER NOT NULL,
    block     INTEGER NOT NULL,
    roles     INTEGER NOT NULL CHECK (roles >= 0), -- bits: 1 entry, 2 branch, 4 block, 8 return, 16 tail call
    in_window INTEGER NOT NULL CHECK (in_window IN (0, 1)),
    PRIMARY KEY (function, address)
) STRICT, WITHOUT ROWID;

-- What happened:

CREATE TABLE invocation (
    id         INTEGER PRIMARY KEY,
    function   INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    seq        INTEGER NOT NULL,  -- of its entry
    end_seq    INTEGER,           -- NULL: its end was not seen
    run_ns     INTEGER NOT NULL CHECK (run_ns >= 0),
    end_run_ns INTEGER CHECK (end_run_ns >= 0),
    cpu        INTEGER NOT NULL CHECK (cpu >= -1),
    thread     TEXT NOT NULL,
    task       TEXT NOT NULL,     -- the guest's own thread, as it names it; empty where unknown
    stack      INTEGER NOT NULL,  -- stack pointer at the entry: tells invocations that overlap apart
    caller     INTEGER NOT NULL,  -- return address
    caller_name TEXT NOT NULL,    -- function+offset of the caller; empty where unknown
    returned   TEXT NOT NULL CHECK (returned IN ('yes', 'tail call', 'not seen')),
    value      INTEGER,           -- RAX at the return
    complete   INTEGER NOT NULL CHECK (complete IN (0, 1)), -- the whole path is known
    consistent INTEGER NOT NULL CHECK (consistent IN (0, 1)) -- 0: the stops fit no path; what fits is kept
) STRICT;
CREATE INDEX invocation_by_function ON invocation (function, seq);

CREATE TABLE step (               -- an invocation's path: blocks, and gaps where it is not known
    invocation INTEGER NOT NULL REFERENCES invocation (id) ON DELETE CASCADE,
    ordinal    INTEGER NOT NULL CHECK (ordinal >= 0),
    block      INTEGER,           -- NULL: a gap
    PRIMARY KEY (invocation, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE window_pass (        -- each time that a path went through a timing window
    invocation   INTEGER NOT NULL REFERENCES invocation (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL CHECK (number >= 0),
    window       INTEGER NOT NULL,
    first_step   INTEGER NOT NULL CHECK (first_step >= 0),
    step_count   INTEGER NOT NULL CHECK (step_count >= 0),
    stops_inside INTEGER NOT NULL CHECK (stops_inside >= 0),
    tries_min    INTEGER NOT NULL CHECK (tries_min >= 0), -- rounds of the loop that polls a clock; 1 where there is none
    tries_max    INTEGER CHECK (tries_max >= 0), -- NULL: no bound known
    PRIMARY KEY (invocation, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE gap_block (          -- the blocks that may have run in a gap
    invocation INTEGER NOT NULL,
    ordinal    INTEGER NOT NULL,
    block      INTEGER NOT NULL,
    certain    INTEGER NOT NULL CHECK (certain IN (0, 1)), -- it ran at least once
    PRIMARY KEY (invocation, ordinal, block),
    FOREIGN KEY (invocation, ordinal) REFERENCES step (invocation, ordinal) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE decision (           -- one conditional branch, executed once
    invocation INTEGER NOT NULL REFERENCES invocation (id) ON DELETE CASCADE,
    ordinal    INTEGER NOT NULL CHECK (ordinal >= 0), -- of the step whose block ends in it
    address    INTEGER NOT NULL,
    taken      INTEGER NOT NULL CHECK (taken IN (0, 1)),
    stop       INTEGER,           -- seq of the stop that saw it; NULL: worked out from the path
    PRIMARY KEY (invocation, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE stop (               -- one stop of the guest for a branch probe
    seq       INTEGER PRIMARY KEY,
    cpu       INTEGER NOT NULL CHECK (cpu >= -1),
    address   INTEGER NOT NULL,
    run_ns    INTEGER NOT NULL CHECK (run_ns >= 0),
    host_ns   INTEGER NOT NULL CHECK (host_ns >= 0), -- as in event: what it grew by more than run_ns, the guest stood
    icount    INTEGER,
    in_window INTEGER NOT NULL CHECK (in_window IN (0, 1)),
    registers BLOB NOT NULL       -- as meta 'stub.registers' lays them out
) STRICT;

-- What was changed in the guest while it was recorded, to try a hypothesis:

CREATE TABLE intervention (
    number   INTEGER PRIMARY KEY, -- in the order of the options
    kind     TEXT NOT NULL CHECK (kind IN ('force', 'set', 'return')),
    option   TEXT NOT NULL,       -- as it was given, such as "tsc_read_refs:73=not,times=3"
    function TEXT NOT NULL,
    file     TEXT NOT NULL,
    line     INTEGER NOT NULL CHECK (line >= 0), -- 0: a whole function's
    address  INTEGER NOT NULL
) STRICT;

CREATE TABLE intervention_use (   -- each time that one was made; none: its place was not reached
    seq          INTEGER PRIMARY KEY, -- in the order of all stops
    intervention INTEGER NOT NULL REFERENCES intervention (number) ON DELETE CASCADE,
    run_ns       INTEGER NOT NULL CHECK (run_ns >= 0),
    cpu          INTEGER NOT NULL CHECK (cpu >= -1),
    was          TEXT NOT NULL,   -- what the guest would have done or had: "taken", "1000000"
    became       TEXT NOT NULL
) STRICT;

-- For people with plain sqlite3: `SELECT * FROM timeline`. schemas/README.md describes these views, and `clock export`
-- prints their rows as CSV. clockscope itself reads the tables alone: a view in a file may be anything.

CREATE VIEW timeline AS
SELECT e.seq, e.run_ns / 1e6 AS ms, e.guest_ns / 1e6 AS guest_ms, e.cpu, e.what, e.clock, (
        SELECT group_concat(replace(name, '_', ' ') || ' ' ||
            coalesce(iif(is_unsigned, printf('%llu', number), number), text, 'unreadable'), ', ')
        FROM (SELECT * FROM event_value WHERE event = e.seq AND name NOT IN ('name', 'kind', 'message') ORDER BY ordinal)
    ) AS details,
    (SELECT text FROM event_value WHERE event = e.seq AND name = 'message') AS message,
    e.function, e.file || iif(e.line > 0, ':' || e.line, '') AS place, e.rule
FROM event e ORDER BY e.seq;

-- What the events say of each clock, as the reports tell it (c-ext/core/trace/timeline_clocks.c).
CREATE VIEW clocks AS
WITH told AS MATERIALIZED ( -- what each event says of its clock
    SELECT e.seq, e.run_ns, e.cpu, e.what, coalesce(nullif(e.clock, ''), (
            SELECT text FROM event_value WHERE event = e.seq AND name = 'name')) AS name,
        iif(e.what LIKE 'device.%', 'event device', iif(e.what LIKE 'clock.%', 'clock', NULL)) AS subject
    FROM event e
    WHERE e.what IN ('frequency.detected', 'clock.registered', 'clock.selected', 'clock.unstable',
        'clock.unregistered', 'calibration.finished', 'device.registered', 'device.selected', 'quality.changed')
),
named AS MATERIALIZED ( -- a frequency alone belongs to whatever was first known by that name
    SELECT seq, run_ns, cpu, what, name, coalesce(subject, (
            SELECT subject FROM told f WHERE f.name = told.name AND f.subject IS NOT NULL ORDER BY f.seq LIMIT 1
        ), 'clock') AS subject
    FROM told WHERE name <> ''
),
number AS MATERIALIZED ( -- the numbers that hold from then on, in order
    SELECT n.seq, n.name AS clock, n.subject, v.name,
        iif(v.is_unsigned, printf('%llu', v.number), v.number) AS content
    FROM named n JOIN event_value v ON v.event = n.seq
    WHERE n.what NOT IN ('clock.unstable', 'clock.unregistered') AND v.number IS NOT NULL
),
frequency AS MATERIALIZED (
    SELECT n.seq, n.name AS clock, n.subject, CAST(round(CASE v.name WHEN 'mhz' THEN coalesce(v.number, v.text) * 1e6
            WHEN 'frequency_khz' THEN v.number * 1000 ELSE v.number END) AS INTEGER) AS hz
    FROM named n JOIN event_value v ON v.event = n.seq
    WHERE n.what NOT IN ('clock.unstable', 'clock.unregistered') AND v.name IN ('frequency_hz', 'frequency_khz', 'mhz')
),
known AS (
    SELECT name, subject, min(seq) AS first, max(iif(what LIKE '%.registered', seq, NULL)) AS registered,
        max(iif(what LIKE '%.selected', seq, NULL)) AS selected,
        max(iif(what IN ('clock.unstable', 'clock.unregistered'), seq, NULL)) AS lost
    FROM named GROUP BY name, subject HAVING max(what NOT IN ('calibration.finished', 'quality.changed'))
)
SELECT k.name,
    iif(k.subject = 'clock', coalesce((
            SELECT v.text FROM named n JOIN event_value v ON v.event = n.seq AND v.name = 'kind' AND v.text <> 'event device'
            WHERE n.name = k.name AND n.what LIKE 'clock.%' ORDER BY n.seq LIMIT 1
        ), iif((SELECT value FROM meta WHERE key = 'guest.os') LIKE '%bsd%', 'timecounter', 'clocksource')), k.subject) AS kind,
    (SELECT content FROM number WHERE clock = k.name AND subject = k.subject AND name = 'rating' ORDER BY seq DESC LIMIT 1) AS rating,
    (SELECT content FROM number WHERE clock = k.name AND subject = k.subject AND name = 'quality' ORDER BY seq DESC LIMIT 1) AS quality,
    (SELECT hz FROM frequency WHERE clock = k.name AND subject = k.subject AND hz > 0 ORDER BY seq DESC LIMIT 1) AS frequency_hz,
    (SELECT content FROM number WHERE clock = k.name AND subject = k.subject AND name = 'mask' ORDER BY seq DESC LIMIT 1) AS mask,
    (SELECT min(run_ns) / 1e6 FROM named WHERE name = k.name AND subject = k.subject AND what LIKE '%.registered'
        AND seq > coalesce((SELECT max(seq) FROM named l WHERE l.name = k.name AND l.subject = k.subject
            AND l.what IN ('clock.unstable', 'clock.unregistered') AND l.seq < k.registered), 0)) AS registered_ms,
    (SELECT run_ns / 1e6 FROM named WHERE name = k.name AND subject = k.subject AND what LIKE '%.selected'
        ORDER BY seq LIMIT 1) AS selected_ms,
    k.selected IS NOT NULL AND k.selected > coalesce(k.lost, 0) AND NOT EXISTS (
        SELECT 1 FROM named l WHERE l.seq > k.selected AND l.subject = k.subject AND l.what LIKE '%.selected'
            AND (k.subject = 'clock' OR l.cpu = (SELECT cpu FROM named WHERE seq = k.selected))) AS in_use,
    iif(k.lost > coalesce(k.registered, 0), (SELECT run_ns / 1e6 FROM event WHERE seq = k.lost), NULL) AS lost_ms,
    iif(k.lost > coalesce(k.registered, 0), coalesce((SELECT text FROM event_value WHERE event = k.lost AND name = 'reason'),
        (SELECT substr(what, 7) FROM event WHERE seq = k.lost)), NULL) AS lost_reason
FROM known k ORDER BY k.first;

CREATE VIEW invocations AS
SELECT i.id AS invocation, i.seq, i.run_ns / 1e6 AS ms, i.end_run_ns / 1e6 AS end_ms, i.cpu,
    trim(i.task, char(0)) AS task, f.name AS function, f.file || iif(f.line > 0, ':' || f.line, '') AS place,
    coalesce(nullif(i.caller_name, ''), printf('0x%llx', i.caller)) AS caller, i.returned, iif(i.value IS NULL, NULL, printf('0x%llx', i.value)) AS value,
    (SELECT count(*) FROM decision WHERE invocation = i.id) AS decisions, i.complete, i.consistent
FROM invocation i JOIN function f ON f.id = i.function ORDER BY i.id;

CREATE VIEW decisions AS
SELECT d.invocation, d.ordinal AS step, f.name AS function, n.inlined, n.file || iif(n.line > 0, ':' || n.line, '') AS place,
    trim(s.text) AS text, printf('0x%llx', d.address) AS address, n.text AS instruction, iif(d.taken, 'yes', 'no') AS taken,
    p.run_ns / 1e6 AS ms, p.cpu
FROM decision d JOIN invocation i ON i.id = d.invocation JOIN function f ON f.id = i.function
LEFT JOIN instruction n ON n.function = i.function AND n.address = d.address
LEFT JOIN source s ON s.file = n.file AND s.line = n.line LEFT JOIN stop p ON p.seq = d.stop
ORDER BY d.invocation, d.ordinal;

CREATE VIEW stops AS
SELECT p.seq, p.run_ns / 1e6 AS ms, (p.host_ns - p.run_ns) / 1e6 AS stood_ms, p.cpu,
    printf('0x%llx', p.address) AS address, n.text AS instruction, n.file || iif(n.line > 0, ':' || n.line, '') AS place,
    p.in_window
FROM stop p LEFT JOIN (SELECT address, min(function), text, file, line FROM instruction GROUP BY address) n USING (address)
ORDER BY p.seq;

CREATE VIEW interventions AS
SELECT i.number, i.kind, i.option, i.function, i.file || iif(i.line > 0, ':' || i.line, '') AS place, u.seq,
    u.run_ns / 1e6 AS ms, u.cpu, u.was, u.became
FROM intervention i LEFT JOIN intervention_use u ON u.intervention = i.number ORDER BY i.number, u.seq;
