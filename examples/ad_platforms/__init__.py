"""Lead events for two advertising platforms: an intake service that loses none, whatever dies, and platforms that differ."""
