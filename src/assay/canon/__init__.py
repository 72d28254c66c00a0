"""What exists: cards, the catalog over them, lineage. Torch is never imported here."""
