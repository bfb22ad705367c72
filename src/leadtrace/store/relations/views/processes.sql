-- What is asked of processes, a row each: their attributes are read once, not once per record.
SELECT
  r.resource,
  r.service,
  {text service.version} AS service_version,
  {text service.instance.id} AS instance,
  {text host.name} AS host,
  {text deployment.environment.name} AS environment
FROM main.resources r
