"""`python -m leadtrace` is the command `leadtrace`."""

from leadtrace.cli import main

main()
