"""Where recorded leads are kept and read: one interface, an implementation per source."""
