"""Alerts with a beginning and an end: rules, their pure evaluation, the watch, and who is told.

rules_file, kind_keys, opening, calendar    what the file says, each mistake with its line
asking, learning, gathering, values         what the source holds, as figures; what is normal
kinds/, evaluate, judging, machine          pure: figures and the time in, verdicts and changes out
database, outbox, watch, sending, channels  what stands, what is to be told, and telling it
checklist, probes                           what is looked at when something is wrong, and whose side it is on
replay                                      the same over recorded history
prometheus/                                 the same for those who have it
"""
