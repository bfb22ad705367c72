-- One row per span, unfinished ones too: their end_ns is 0 and their duration_ms NULL.
SELECT
  s.arrival,
  s.start_ns,
  s.end_ns,
  n.text AS name,
  {text leadtrace.kind} AS kind,
  coalesce((SELECT text FROM main.texts WHERE text_id = s.tenant), '') AS tenant,
  coalesce((SELECT lead_id FROM main.leads WHERE lead = s.lead), '') AS lead_id,
  key_of(coalesce((SELECT text FROM main.texts WHERE text_id = s.tenant), ''),
    (SELECT lead_id FROM main.leads WHERE lead = s.lead)) AS lead_key,
  key_of(coalesce((SELECT text FROM main.texts WHERE text_id = s.tenant), ''), {text leadtrace.run_id}) AS run_key,
  lower(hex((SELECT trace_id FROM main.traces WHERE trace = s.trace))) AS trace_id,
  lower(hex(s.span_id)) AS span_id,
  lower(hex(s.parent_id)) AS parent_span_id,
  s.kind AS span_kind,                       -- OTLP's: 1 internal, 2 server, 3 client, 4 producer, 5 consumer
  CASE s.status WHEN 1 THEN 'ok' WHEN 2 THEN 'error' ELSE 'unset' END AS status,
  CASE WHEN s.end_ns > 0 THEN s.end_ns - s.start_ns END AS length_ns,
  (SELECT name FROM main.scopes WHERE scope = s.scope) AS scope,  -- the instrumentation; leadtrace's own is `leadtrace`
  (SELECT service FROM temp.processes WHERE resource = s.resource) AS service,
  (SELECT service_version FROM temp.processes WHERE resource = s.resource) AS service_version,
  (SELECT instance FROM temp.processes WHERE resource = s.resource) AS instance,
  (SELECT host FROM temp.processes WHERE resource = s.resource) AS host,
  (SELECT environment FROM temp.processes WHERE resource = s.resource) AS environment,
  {facts},
  coalesce(nullif({currency}, ''), 'USD') AS currency,
  s.attributes,
  coalesce(s.rest, '') AS rest
FROM main.spans s
JOIN main.texts n ON n.text_id = {by_time}s.name
WHERE {among}
