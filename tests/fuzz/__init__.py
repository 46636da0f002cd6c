"""Coverage-guided fuzzing of every entry point: `python -m tests.fuzz NAME`, or `make fuzz`. See docs/security.md."""
