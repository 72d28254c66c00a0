"""What exists: cards, and the catalog over all of them. Never imports torch."""
