"""The kinds of rules: each a pure function from what was observed to a verdict."""
