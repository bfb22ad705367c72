"""Two processes with a queue between them, one story: `carry` on one side, `resume` on the other."""
