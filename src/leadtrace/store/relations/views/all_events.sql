-- One row per event. What is looked up elsewhere is a subquery, not a join: it costs nothing unless a query names it.
SELECT
  e.arrival,
  e.time_ns,
  n.text AS name,
  coalesce((SELECT text FROM main.texts WHERE text_id = e.kind),
    (SELECT kind FROM temp.known_kinds WHERE text_id = e.name), '') AS kind,
  coalesce((SELECT text FROM main.texts WHERE text_id = e.tenant), '') AS tenant,
  coalesce((SELECT lead_id FROM main.leads WHERE lead = e.lead), '') AS lead_id,
  key_of(coalesce((SELECT text FROM main.texts WHERE text_id = e.tenant), ''),
    (SELECT lead_id FROM main.leads WHERE lead = e.lead)) AS lead_key,
  key_of(coalesce((SELECT text FROM main.texts WHERE text_id = e.tenant), ''), {text leadtrace.run_id}) AS run_key,
  lower(hex((SELECT trace_id FROM main.traces WHERE trace = e.trace))) AS trace_id,
  lower(hex(e.span_id)) AS span_id,
  {text leadtrace.parent_span_id} AS parent_span_id,
  e.boot,
  e.sequence,
  e.origin,                                  -- 1 log record, 2 span event, 3 both met
  e.observed_ns,
  e.severity,
  (SELECT service FROM temp.processes WHERE resource = e.resource) AS service,
  (SELECT service_version FROM temp.processes WHERE resource = e.resource) AS service_version,
  (SELECT instance FROM temp.processes WHERE resource = e.resource) AS instance,
  (SELECT host FROM temp.processes WHERE resource = e.resource) AS host,
  (SELECT environment FROM temp.processes WHERE resource = e.resource) AS environment,
  {facts},
  coalesce(nullif({currency}, ''), 'USD') AS currency,
  e.attributes,
  coalesce(e.rest, '') AS rest
FROM main.events e
JOIN main.texts n ON n.text_id = {by_time}e.name
WHERE {among}
