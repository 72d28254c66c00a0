"""The record of runs: a database of what was measured, and the files beside it."""
