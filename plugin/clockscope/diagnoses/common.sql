-- What every rule's query may use: the trace's own tables (schemas/trace.sql), and these.
--   observed   events, with the place and the values as texts
--   told       an event's values: (event, name, content)
--   frequency  what was told of a clock's frequency: (seq, run_ns, clock, hz, place, said)
--   registered clocks that the kernel has at the end, with the event that registered them: (clock, seq)
--   active     the event that selected the clock in use at the end
--   call       invocations of traced functions
--   choice     decisions of traced functions
--   skip       decisions after which a call can no more come to where it registers a clock
--   ran        blocks that an invocation surely went through, with what inlined function they come from
WITH RECURSIVE
observed AS (
    SELECT e.seq, e.run_ns, e.what, e.rule, e.clock,
        trim(e.function || CASE WHEN e.line > 0 THEN ' ' || e.file || ':' || e.line ELSE '' END) AS place,
        trim(replace(e.what, '.', ' ') || ' ' || coalesce(e.clock, '')) || coalesce(': ' || (
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
registered AS (
    SELECT clock, max(seq) AS seq FROM event e WHERE what = 'clock.registered' GROUP BY clock
    HAVING max(seq) > coalesce((
        SELECT max(seq) FROM event l WHERE l.clock = e.clock AND l.what IN ('clock.unregistered', 'clock.unstable')), 0)
),
active AS (SELECT * FROM observed WHERE what = 'clock.selected' ORDER BY seq DESC LIMIT 1),
call AS (
    SELECT i.id, i.seq, i.end_seq, i.run_ns, i.caller_name, i.returned, i.value, f.id AS function_id, f.name AS function,
        trim(f.name || CASE WHEN f.line > 0 THEN ' ' || f.file || ':' || f.line ELSE '' END) AS place
    FROM invocation i JOIN function f ON f.id = i.function
),
choice AS (
    SELECT c.id AS invocation, d.ordinal, coalesce(d.stop, c.seq) AS seq, c.run_ns, c.function, n.inlined, n.line,
        n.text AS instruction, s.text, d.taken,
        c.function || CASE WHEN n.line > 0 THEN ' ' || n.file || ':' || n.line ELSE '' END AS place,
        coalesce(trim(s.text) || '  ', '') || n.text || CASE d.taken WHEN 1 THEN ': taken' ELSE ': not taken' END AS said
    FROM decision d JOIN call c ON c.id = d.invocation
    JOIN instruction n ON n.function = c.function_id AND n.address = d.address
    LEFT JOIN source s ON s.file = n.file AND s.line = n.line
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
