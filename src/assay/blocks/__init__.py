"""Parts that more than one architecture uses."""
