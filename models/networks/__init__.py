"""The networks: one file per architecture, one entry each in `registry`."""
