"""The record of runs: a database and files."""
