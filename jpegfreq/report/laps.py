"""A watch for the stages of a pipeline."""

from __future__ import annotations

import time
from collections import Counter

__all__ = ["Laps"]


class Laps:
    """A watch for the CPU time of this process, with all its threads, by stage.

    Attributes:
        nanoseconds: how long each stage has taken so far.
    """

    def __init__(self) -> None:
        """Start the watch."""
        self.nanoseconds: Counter[str] = Counter()
        self._last = time.process_time_ns()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap, or since the start, for a stage."""
        now = time.process_time_ns()
        self.nanoseconds[stage] += now - self._last
        self._last = now
