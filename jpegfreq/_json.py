"""JSON that anybody may have written."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["parse_json"]


def parse_json(text: str | bytes) -> Any:
    """Parse JSON, and let every fault of the text be a ValueError.

    Raises:
        ValueError: the text is not JSON, or is nested more deeply than Python can parse.

    >>> parse_json('{"channels": [0, 64]}')
    {'channels': [0, 64]}
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
