-- The last that is told of each run, its starts and ends aside, as one text: time, process and place there, 19 digits each, then
-- the event, a mark, and what it is about. What is told at one moment is ordered as that text.
WITH told AS NOT MATERIALIZED (
  SELECT run_key, time_ns, boot, sequence, name, buyer, check_name, enhancement_name, word_name
  FROM all_events
  WHERE run_key IS NOT NULL AND time_ns >= {since} AND kind <> 'alert'{among_runs}
    AND name NOT IN ('flow.started', 'flow.completed', 'flow.failed', 'flow.cancelled', 'flow.interrupted',
      'flow.handed_over', 'lead.state.changed', 'error.occurred')
)
SELECT t.run_key AS run_key,
  max(substr('0000000000000000000' || CAST(t.time_ns AS VARCHAR), -19)
    || substr('0000000000000000000' || CAST(coalesce(t.boot, 0) AS VARCHAR), -19)
    || substr('0000000000000000000' || CAST(coalesce(t.sequence, 0) AS VARCHAR), -19)
    || t.name || '{mark}' || CASE WHEN t.buyer <> '' THEN t.buyer WHEN t.check_name <> '' THEN t.check_name
    WHEN t.enhancement_name <> '' THEN t.enhancement_name ELSE t.word_name END) AS told
FROM told t
JOIN (SELECT run_key, max(time_ns) AS time_ns FROM told GROUP BY run_key) l
  ON l.run_key = t.run_key AND l.time_ns = t.time_ns
GROUP BY t.run_key
