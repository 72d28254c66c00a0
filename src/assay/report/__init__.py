"""Reports: what a study found, in the terminal, as one HTML page, as tables and plots."""
