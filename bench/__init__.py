"""Benchmarks of jpegfreq against other readers of the same bytes. Start with `python -m bench --help`."""
