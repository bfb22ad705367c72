"""The questions asked of recorded leads: one file each, in portable SQL over `lead_spans` and `lead_events`, or over timelines."""
