"""Studies: candidates × seeds, verdicts, recommendation."""
