"""Training: recipe, inputs, the loop, run folders."""
