"""Alerts with a beginning and an end: rules, their pure evaluation, the watch, and who is told."""
