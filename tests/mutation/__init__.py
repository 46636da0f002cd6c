"""Mutation testing: `python -m tests.mutation`, or `make mutation`.

One small change at a time is made to the source of a protocol, and the tests must notice it. The changes are those of
mutmut (its operators over libcst's trees); the runner is ours, because mutmut's own changes nothing outside
undecorated functions, and half of what matters here stands there: limits, tables, patterns, defaults, properties.

- `mutants`: what is changed, and what is left out because it cannot matter to a user.
- `mapping`: which tests run which lines, and how long each test takes; measured once.
- `running`: the tests that reach a mutant, fastest first, in a child process, up to the first that fails.
- `report`: the figures, and the mutants that nobody noticed.
- `explained.toml`: mutants that no test can tell from the source, with the reason.
"""
