"""The questions asked of recorded leads. Each report is a file: portable SQL over the relations, or over timelines, and typed rows.

registry, options, model, answer, exchange    what a report is, how it is asked, from here or from a server
series, frequency, errors, health, business …  the reports; `NAME_*` beside one are its parts
chance, intervals, rhythm, concentration, trend  pure statistics, shared by reports and by alerts
sampled, passages, critical_path, recomputed     what reports over timelines share
sales, matching, lead_facts, declared            what reports of money share
review_*                                       the weekly and monthly review, and its page and Markdown
"""
