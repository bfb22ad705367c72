"""Records as relations that SQL may ask: `lead_events`, `lead_spans`, `lead_runs` and `lead_shared`, the same over every engine."""
