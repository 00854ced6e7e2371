"""Benchmarks: jpegfreq against every other way to read the same bytes. Start with `python -m bench --help`."""
