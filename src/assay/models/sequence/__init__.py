"""Networks that read sequences; an image is read row by row."""
