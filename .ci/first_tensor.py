"""Make a tensor of a photograph with an installed wheel; its DC coefficient tells whether the pixels were right."""

import io

import numpy as np
from PIL import Image

import jpegfreq

stream = io.BytesIO()
Image.new("L", (24, 16), 200).save(stream, "JPEG", quality=100)
tensor = jpegfreq.to_frequency_tensor(jpegfreq.read_coefficients(stream.getvalue()))
assert tensor.shape == (192, 2, 3), tensor.shape
np.testing.assert_allclose(tensor[0], 8 * (200 - 128), atol=1)
print("jpegfreq", jpegfreq.__version__, "made a tensor of shape", tensor.shape)
