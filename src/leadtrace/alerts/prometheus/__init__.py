"""The rules for those who have Prometheus and Alertmanager: the same as far as PromQL can say it, and what it cannot."""
