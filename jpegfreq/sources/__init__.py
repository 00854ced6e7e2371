"""Which image files there are, and their bytes."""
