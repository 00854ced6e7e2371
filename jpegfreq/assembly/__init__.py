"""From coefficients to whole-image tensors."""
