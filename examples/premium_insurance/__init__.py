"""An insurance lead pipeline on real HTTP calls, told with leadtrace: see README.md beside this file."""
