"""The networks: builders, adaptations, summaries."""
