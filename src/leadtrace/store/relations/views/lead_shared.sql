-- Which leads a record names that serves several: one row for each.
SELECT shared.arrival, l.lead_id, l.tenant
FROM main.shared
JOIN main.leads l ON l.lead = shared.lead
WHERE (EXISTS (SELECT 1 FROM main.events e WHERE e.arrival = shared.arrival)
    OR EXISTS (SELECT 1 FROM main.spans s WHERE s.arrival = shared.arrival))
  AND {among}
