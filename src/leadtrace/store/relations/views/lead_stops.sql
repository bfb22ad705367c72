-- One row per run that began in the window: the last that is told of it, its start and its ends aside.
SELECT
  r.run_key AS run_key,
  r.run_id AS run_id,
  r.tenant AS tenant,
  r.flow_name AS flow_name,
  r.outcome AS outcome,                      -- '' while open
  CASE WHEN t.told IS NULL THEN 'flow.started' ELSE substr(t.told, 58, instr(t.told, '{mark}') - 58) END AS last_event,
  CASE WHEN t.told IS NULL THEN '' ELSE substr(t.told, instr(t.told, '{mark}') + 1) END AS last_about
FROM (SELECT run_key, run_id, tenant, flow_name, outcome FROM lead_runs WHERE start_ns >= {since} AND start_ns < {until}) r
LEFT JOIN ({told_last}) t ON t.run_key = r.run_key
