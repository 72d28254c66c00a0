"""Networks that read any numbers, flattened."""
