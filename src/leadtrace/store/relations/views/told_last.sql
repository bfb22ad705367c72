-- The last that is told of each run, its starts and ends aside, as one text: time, process and place there, 19 digits each, then
-- the event, a mark, and what it is about. What is told at one moment is ordered as that text.
SELECT e.run_id AS run_id, e.tenant AS tenant,
  max(substr('0000000000000000000' || CAST(e.time_ns AS VARCHAR), -19)
    || substr('0000000000000000000' || CAST(coalesce(e.boot, 0) AS VARCHAR), -19)
    || substr('0000000000000000000' || CAST(coalesce(e.sequence, 0) AS VARCHAR), -19)
    || e.name || '{mark}' || CASE WHEN e.buyer <> '' THEN e.buyer WHEN e.check_name <> '' THEN e.check_name
    WHEN e.enhancement_name <> '' THEN e.enhancement_name ELSE e.word_name END) AS told
FROM all_events e
JOIN (
  SELECT e.run_id AS run_id, e.tenant AS tenant, max(e.time_ns) AS time_ns
  FROM all_events e
  WHERE e.run_id <> '' AND {telling} AND e.time_ns >= {since}
  GROUP BY e.run_id, e.tenant
) l ON l.run_id = e.run_id AND l.tenant = e.tenant AND l.time_ns = e.time_ns
WHERE e.run_id <> '' AND {telling} AND e.time_ns >= {since}
GROUP BY e.run_id, e.tenant
