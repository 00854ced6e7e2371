"""The reference decoder and libjpeg-turbo agree, before our decoder is compared with either."""

from __future__ import annotations

import numpy as np
import pytest

from tests import reference
from tests.oracle import Oracle
from tests.support import data_files

# Small enough for a decoder that works bit by bit.
SMALL_FILE_BYTES = 12_000
SMALL_IMAGE_PIXELS = 100 * 100


@pytest.mark.parametrize("folder", ["odd", "hostile"])
def test_reference_equals_libjpeg_on_small_files(folder: str, oracle: Oracle) -> None:
    compared = set()
    for path in data_files(folder):
        data = path.read_bytes()
        if len(data) > SMALL_FILE_BYTES:
            continue
        theirs = oracle.read(data)
        if not theirs.clean or theirs.width * theirs.height > SMALL_IMAGE_PIXELS:
            continue
        try:
            ours = reference.decode(data)
        except reference.IrregularJpegError as irregular:
            # libjpeg treats an unknown segment of an impossible length as empty.
            assert "segment length" in str(irregular), path.name
            continue
        assert (ours.height, ours.width, ours.precision) == (theirs.height, theirs.width, theirs.precision)
        for c, plane, table in zip(theirs.components, ours.planes, ours.quantization_tables, strict=True):
            np.testing.assert_array_equal(plane, c.plane, err_msg=path.name)
            np.testing.assert_array_equal(table, c.quantization_table, err_msg=path.name)
        compared.add((ours.process, ours.precision))
    if folder == "odd":
        assert {"baseline", "progressive"} <= {process for process, _ in compared}
