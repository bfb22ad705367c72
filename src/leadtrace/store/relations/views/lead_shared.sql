-- Which leads a record names that serves several: one row for each.
SELECT shared.arrival, l.lead_id, l.tenant
FROM main.shared
JOIN main.leads l ON l.lead = shared.lead
