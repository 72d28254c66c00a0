"""Where examples come from, what they become, and how they are divided."""
