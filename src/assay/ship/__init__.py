"""A trained model that can travel, and the doors to use it."""
