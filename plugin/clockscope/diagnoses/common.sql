-- What every rule's query may use: the trace's own tables (schemas/trace.sql), and these.
--   observed   events, with the place and the values as texts
--   told       an event's values: (event, name, content)
--   frequency  what was told of a clock's frequency: (seq, run_ns, clock, hz, place, said)
--   registered clocks that the kernel has at the end, with the event that registered them: (clock, seq)
--   active     the event that selected the clock in use at the end
--   call       invocations of traced functions
--   choice     decisions of traced functions
--   skip       decisions after which a call can no more come to where it registers a clock
--   option     what the guest was booted with, a row each: (word), such as 'tsc=reliable'
--   kernel     the release as a number (6.1 is 6001, 3.10 is 3010); without a row where it is not known
--   lost       clocks that the clocksource watchdog gave up: (seq, run_ns, place, said, clock, slow, watchdog, by_whom, size,
--              where_seen, meaning); slow: it was not skew, but a reading that took too long
--   ran        blocks that an invocation surely went through, with what inlined function they come from
WITH RECURSIVE
observed AS (
    SELECT e.seq, e.run_ns, e.what, e.rule, e.clock,
        trim(e.function || CASE WHEN e.line > 0 THEN ' ' || e.file || ':' || e.line ELSE '' END) AS place,
        trim(replace(iif(e.what LIKE 'x-%', substr(e.what, 3), e.what), '.', ' ') || ' ' || coalesce(e.clock, '')) || coalesce(': ' || (
            SELECT group_concat(replace(name, '_', ' ') || ' ' || coalesce(number, text, 'unreadable'), ', ')
            FROM (SELECT * FROM event_value WHERE event = e.seq AND name NOT IN ('name', 'message') ORDER BY ordinal)
        ), '') AS said
    FROM event e
),
told AS (SELECT event, name, coalesce(number, text) AS content FROM event_value),
frequency AS (
    SELECT o.seq, o.run_ns, o.clock, o.place, o.said,
        CASE t.name WHEN 'frequency_hz' THEN t.content WHEN 'frequency_khz' THEN t.content * 1000.0
            ELSE CAST(t.content AS REAL) * 1000000 END AS hz
    FROM observed o JOIN told t ON t.event = o.seq
    WHERE o.what IN ('frequency.detected', 'calibration.finished')
        AND t.name IN ('frequency_hz', 'frequency_khz', 'mhz') AND t.content > 0
),
rest(word, tail) AS (
    SELECT '', replace(value, char(9), ' ') || ' ' FROM meta WHERE key = 'guest.command_line'
    UNION ALL SELECT substr(tail, 1, instr(tail, ' ') - 1), substr(tail, instr(tail, ' ') + 1) FROM rest WHERE tail <> ''
),
option AS (SELECT word FROM rest WHERE word <> ''),
kernel AS (
    SELECT CAST(value AS INTEGER) * 1000 + CAST(substr(value, instr(value, '.') + 1) AS INTEGER) AS number
    FROM meta WHERE key = 'guest.release' AND instr(value, '.') > 1
),
watched AS (
    SELECT o.seq, o.run_ns, o.place, o.said, o.clock, o.rule LIKE 'clock-read-slow%' AS slow,
        (SELECT content FROM told WHERE event = o.seq AND name = 'watchdog') AS watchdog,
        (SELECT content FROM told WHERE event = o.seq AND name = 'delay_ns') / 1e3 AS delay,
        (SELECT content FROM told WHERE event = o.seq AND name = 'limit_ns') / 1e3 AS limit_us,
        (SELECT content FROM told WHERE event = o.seq AND name = 'watchdog_delay_ns') / 1e3 AS alone,
        (SELECT content FROM told WHERE event = o.seq AND name = 'attempts') AS attempts,
        (SELECT content FROM told WHERE event = o.seq AND name = 'skew_ns') / 1e6 AS skew,
        (SELECT content FROM told WHERE event = o.seq AND name = 'interval_ns') / 1e6 AS interval,
        (SELECT content FROM told WHERE event = o.seq AND name = 'clock_ns') / 1e6 AS own,
        (SELECT content FROM told WHERE event = o.seq AND name = 'cpu') AS cpu,
        (SELECT content FROM told WHERE event = o.seq AND name = 'cpu_behind') AS behind,
        (SELECT content FROM told WHERE event = o.seq AND name = 'cpu_ahead') AS ahead
    FROM observed o WHERE o.rule IN ('clock-skewed', 'clock-skewed-silently', 'clock-read-slow', 'clock-read-slow-named')
    UNION ALL SELECT seq, run_ns, place, said, 'tsc', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM observed o WHERE rule = 'tsc-not-trusted' AND NOT EXISTS (
        SELECT 1 FROM event WHERE what = 'clock.unstable' AND clock IN ('tsc', 'tsc-early') AND seq < o.seq)
),
lost AS (
    SELECT seq, run_ns, place, said, clock, slow, coalesce(watchdog, likely, 'the watchdog') AS watchdog,
        CASE WHEN watchdog IS NOT NULL THEN 'the watchdog ' || watchdog
            WHEN likely IS NOT NULL THEN 'its watchdog, which is not named and likely ' || likely
            ELSE 'its watchdog, which is not named' END AS by_whom,
        CASE WHEN slow THEN printf('one reading took %.1f us', delay) || iif(limit_us IS NULL, '', printf(', of %.1f us allowed', limit_us))
                || iif(attempts IS NULL, '', printf(', at attempt %d', attempts))
            WHEN behind IS NOT NULL THEN printf('CPU %d read less than CPU %d', behind, ahead)
            WHEN own < 0 THEN printf('it went back by %.3f ms', -own) || iif(interval IS NULL, '', printf(' while the watchdog counted %.3f ms', interval))
            WHEN skew IS NULL THEN 'the size is not told'
            ELSE printf('it was %.3f ms %s', abs(skew), CASE WHEN skew < 0 THEN 'behind' ELSE 'ahead' END)
                || iif(interval IS NULL, '', printf(' in %.3f ms', interval))
                || iif(coalesce(interval, 0) = 0, '', printf(', %.0f ppm', abs(skew) / interval * 1e6)) END AS size,
        coalesce('seen by CPU ' || cpu, 'the CPU is not told') AS where_seen,
        CASE WHEN slow AND alone * 4 < delay THEN printf('A slow reading says nothing against the clock: two reads of the '
                || 'watchdog alone took %.1f us only, so something came between (an interrupt of the firmware, or a '
                || 'hypervisor that did not run the processor)', alone)
            WHEN slow THEN 'A slow reading says nothing against the clock: reading the watchdog is slow, as where each read leaves '
                || 'the guest, or something came between (an interrupt of the firmware, a hypervisor that did not run the processor)'
            WHEN behind IS NOT NULL THEN 'The processors'' counters do not agree'
            WHEN own < 0 THEN 'A counter that goes back was written, or a hypervisor moved the guest to another host'
            WHEN watchdog IN ('jiffies', 'refined-jiffies') THEN 'The watchdog counts timer interrupts, which are late or lost where '
                || 'the guest is not run all the time: it is the poorer clock of the two'
            ELSE 'One of the two runs at another rate, or was read late: in a guest it is often the other clock that is '
                || 'late, for a watchdog that ran late and an emulated reference read as skew too' END AS meaning
    FROM (SELECT w.*, coalesce( -- the best clock that needs none, by which time is read afterwards
        (SELECT content FROM told t JOIN event e ON e.seq = t.event
            WHERE e.rule = 'watchdog-skipped' AND t.name IN ('watchdog', 'watchdog_of') AND e.seq < w.seq ORDER BY e.seq DESC LIMIT 1),
        (SELECT clock FROM event WHERE what = 'clock.selected' AND seq > w.seq AND clock NOT IN ('tsc', 'tsc-early') ORDER BY seq LIMIT 1),
        (SELECT clock FROM event WHERE what = 'clock.registered' AND seq < w.seq AND clock IN ('kvm-clock', 'xen', 'hpet', 'acpi_pm')
            ORDER BY clock = 'acpi_pm', clock = 'hpet' LIMIT 1)) AS likely FROM watched w)
),
late(snapshot) AS ( -- what a kernel that was up had when the recording began
    SELECT s.value FROM meta s JOIN meta b ON b.key = 'plan.began' AND b.value = 'late'
    WHERE s.key = 'late.snapshot' AND json_valid(s.value)
),
found(clock) AS (
    SELECT json_extract(c.value, '$.name') FROM late, json_each(snapshot, '$.lists') l, json_each(l.value) c
    WHERE l.key NOT IN ('event device', 'watched clocksource') AND l.type = 'array' AND c.type = 'object'
),
registered AS (
    SELECT clock, 0 AS seq FROM found WHERE typeof(clock) = 'text' AND NOT EXISTS (
        SELECT 1 FROM event e WHERE e.clock = found.clock AND e.what IN ('clock.registered', 'clock.unregistered', 'clock.unstable'))
    UNION ALL SELECT clock, max(seq) AS seq FROM event e WHERE what = 'clock.registered' GROUP BY clock
    HAVING max(seq) > coalesce((
        SELECT max(seq) FROM event l WHERE l.clock = e.clock AND l.what IN ('clock.unregistered', 'clock.unstable')), 0)
),
active AS (
    SELECT * FROM (
        SELECT * FROM observed WHERE what = 'clock.selected'
        UNION ALL SELECT 0, 0, 'clock.selected', 'snapshot', json_extract(snapshot, '$.current'), 'in the kernel''s memory',
            'in use when the recording began: ' || json_extract(snapshot, '$.current')
        FROM late WHERE json_type(snapshot, '$.current') = 'text'
    ) ORDER BY seq DESC LIMIT 1
),
call AS (
    SELECT i.id, i.seq, i.end_seq, i.run_ns, i.caller_name, i.returned, i.value, f.id AS function_id, f.name AS function,
        trim(f.name || CASE WHEN f.line > 0 THEN ' ' || f.file || ':' || f.line ELSE '' END) AS place
    FROM invocation i JOIN function f ON f.id = i.function
),
truth AS ( -- of a branch and the way it went: whether the source's condition is true then, and that line
    SELECT NULL AS function, NULL AS address, NULL AS taken, NULL AS holds, NULL AS text WHERE 0 -- TRUTH
),
choice AS (
    SELECT c.id AS invocation, d.ordinal, coalesce(d.stop, c.seq) AS seq, c.run_ns, c.function, n.inlined, n.line,
        n.text AS instruction, coalesce(t.text, s.text) AS text, d.taken,
        c.function || CASE WHEN n.line > 0 THEN ' ' || n.file || ':' || n.line ELSE '' END AS place,
        CASE WHEN t.holds IS NULL THEN coalesce(trim(coalesce(t.text, s.text)) || '  ', '') || n.text || ': '
                || CASE d.taken WHEN 1 THEN 'jump taken' ELSE 'jump not taken' END
            ELSE trim(t.text) || CASE t.holds WHEN 1 THEN ': true' ELSE ': false' END END AS said
    FROM decision d JOIN call c ON c.id = d.invocation
    JOIN instruction n ON n.function = c.function_id AND n.address = d.address
    LEFT JOIN source s ON s.file = n.file AND s.line = n.line
    LEFT JOIN truth t ON t.function = c.function_id AND t.address = d.address AND t.taken = d.taken
),
registering AS (
    SELECT n.function, n.block FROM instruction n
    WHERE n.target IN (SELECT entry FROM function WHERE name IN ('__clocksource_register_scale', 'tc_init'))
    UNION SELECT e.function, e.source FROM edge e JOIN registering r ON r.function = e.function AND r.block = e.target
),
skip AS (
    SELECT c.* FROM choice c JOIN invocation i ON i.id = c.invocation
    JOIN step here ON here.invocation = c.invocation AND here.ordinal = c.ordinal
    JOIN step next ON next.invocation = c.invocation AND next.ordinal = c.ordinal + 1
    WHERE EXISTS (SELECT 1 FROM registering WHERE function = i.function AND block = here.block)
        AND NOT EXISTS (SELECT 1 FROM registering WHERE function = i.function AND block = next.block)
),
ran AS (
    SELECT DISTINCT w.invocation, n.inlined, n.kind, n.target FROM (
        SELECT invocation, block FROM step WHERE block IS NOT NULL
        UNION SELECT invocation, block FROM gap_block WHERE certain
    ) w JOIN invocation i ON i.id = w.invocation JOIN instruction n ON n.function = i.function AND n.block = w.block
)
