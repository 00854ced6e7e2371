"""A drop-in for jpeg2dct; its functions are in `jpegfreq.compat.jpeg2dct.numpy`."""
