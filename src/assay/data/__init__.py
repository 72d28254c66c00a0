"""Where examples come from: sources, the frozen division, encoding, batches."""
