"""A small delivery engine for cold outreach: pools of senders, caps, rests, pins, variants of texts, replies."""
