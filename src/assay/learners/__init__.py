"""One file per way of learning."""
