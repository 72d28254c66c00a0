"""Networks that read tokens; each file has its card beside it."""
