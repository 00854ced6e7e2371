"""What a trained network uses: heat maps, rankings, comparisons."""
