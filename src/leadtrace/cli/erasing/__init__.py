"""What `leadtrace erase` and `leadtrace readmit` do: the lead's ids, the places, the receipt, and what others must be asked."""
