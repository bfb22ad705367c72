-- One row per run, from its flow's start and end events, whenever they were: what a window cuts off is still known here.
-- Of several ends the one told last stands, as in the list of leads.
SELECT
  run_key,
  max(run_id) AS run_id,
  max(tenant) AS tenant,
  key_of(max(tenant), max(lead_id)) AS lead_key,
  max(lead_id) AS lead_id,                   -- a flow may learn its lead after it began
  max(parent_run_id) AS parent_run_id,
  max(flow_id) AS flow_id,
  max(flow_name) AS flow_name,
  max(flow_version) AS flow_version,
  max(source) AS source,
  max(campaign) AS campaign,
  max(campaign_group) AS campaign_group,
  max(service) AS service,
  min(CASE WHEN name = 'flow.started' THEN time_ns END) AS start_ns,  -- NULL where its start is not there
  max(CASE WHEN name IN ('flow.completed', 'flow.failed', 'flow.cancelled', 'flow.interrupted') THEN time_ns END) AS end_ns,
  sum(CASE WHEN name IN ('flow.completed', 'flow.failed', 'flow.cancelled', 'flow.interrupted') THEN 1 ELSE 0 END) AS ends,
  sum(CASE WHEN name = 'flow.handed_over' THEN 1 ELSE 0 END) AS handed_over,
  coalesce(substr(max(CASE
    WHEN name = 'flow.completed' THEN substr('0000000000000000000' || CAST(time_ns AS VARCHAR), -19)
      || CASE WHEN final_outcome = '' THEN 'completed' ELSE final_outcome END
    WHEN name IN ('flow.failed', 'flow.cancelled', 'flow.interrupted')
      THEN substr('0000000000000000000' || CAST(time_ns AS VARCHAR), -19) || substr(name, 6)
  END), 20), '') AS outcome,                 -- '' while open
  max(CASE WHEN name IN ('flow.completed', 'flow.failed', 'flow.cancelled', 'flow.interrupted') THEN duration_ms END)
    AS duration_ms
FROM all_events
WHERE name IN ('flow.started', 'flow.completed', 'flow.failed', 'flow.cancelled', 'flow.interrupted', 'flow.handed_over')
  AND run_key IS NOT NULL
GROUP BY run_key
