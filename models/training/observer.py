"""Who is told how a run proceeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

__all__ = ["Observer", "Silent", "UnreadableImages"]

_NAMED = 10  # unreadable images that are reported by name

Line = TypeVar("Line", contravariant=True)


class Observer(Protocol[Line]):
    """Is told how a run proceeds. Epochs and steps count from 1."""

    def note(self, text: str) -> None:
        """Show a line of text: what is trained, which weights were loaded, an image that cannot be read."""

    def begin(self, steps: int, epochs: int, done: int) -> None:
        """Note that everything is checked and training begins.

        Args:
            steps: per epoch.
            epochs: of the whole run.
            done: steps that were done before the run was stopped; 0 for a new run.
        """

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        """Note that a training step ended."""

    def end_epoch(self, line: Line) -> None:
        """Note that an epoch is validated and saved. `line` is its line of log.csv."""


class Silent:
    """An observer that ignores everything."""

    def note(self, text: str) -> None:
        """Ignore it."""

    def begin(self, steps: int, epochs: int, done: int) -> None:
        """Ignore it."""

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        """Ignore it."""

    def end_epoch(self, line: object) -> None:
        """Ignore it."""


class UnreadableImages:
    """Counts the images that cannot be read, and reports the first ones by name, each once."""

    def __init__(self, note: Callable[[str], None]) -> None:
        """Report to an observer's `note`."""
        self._note = note
        self._named: set[str] = set()

    def count(self, messages: Iterable[str]) -> int:
        """Return how many there are; each message names an image and says what is wrong with it."""
        count = 0
        for message in messages:
            count += 1
            if message not in self._named and len(self._named) < _NAMED:
                self._named.add(message)
                more = " (more are counted)" if len(self._named) == _NAMED else ""
                self._note(f"left out: {message}{more}")
        return count
