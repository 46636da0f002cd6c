"""The documentation is true: its examples run, its tables hold."""
