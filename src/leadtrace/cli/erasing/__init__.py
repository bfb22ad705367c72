"""What `leadtrace erase` does: the lead's ids, the places, the receipt, and what others must be asked."""
