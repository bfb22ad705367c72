"""What is asked of recorded leads: the timeline and its text, events and leads as lines; the same over every source."""
