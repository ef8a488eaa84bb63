"""The changes of models in a running daemon, one of each model at a time; owned by the worker's thread."""

from __future__ import annotations

from collections.abc import Callable

from edgelstm.daemon.rollout import Rollout
from edgelstm.daemon.watched import Watched
from edgelstm.stream import LoadedModel


class Rollouts:
    """Knows the last change of every model, also after it is over: silent streams take it up later.

    on_phase  called with a rollout that came to another phase, and the one before
    """

    def __init__(self, replace: Callable[[str, LoadedModel], None], moved: Callable[[str], None]) -> None:
        """`replace` lets new streams of a model have another version; `moved` hears of streams that changed theirs."""
        self.known: dict[str, Rollout] = {}
        self.on_phase: Callable[[Rollout, str], None] = lambda rollout, before: None
        self._replace, self._moved = replace, moved
        self._phases: dict[str, str] = {}

    def begin(self, rollout: Rollout) -> None:
        """Let streams of a model change, each at its next sample."""
        self._phases.pop(rollout.entry.name, None)
        self.known[rollout.entry.name] = rollout
        self.look_after()

    def end(self, rollout: Rollout, reason: str) -> None:
        rollout.fail(reason)
        self.look_after()

    def of(self, stream: Watched) -> Rollout | None:
        """Return the change that a stream takes part in, or has not taken up yet."""
        if stream.input.format == "device":  # what judges it runs there
            return None
        rollout = self.known.get(stream.input.model)
        done = rollout is None or (rollout.is_over and stream.model is rollout.in_force)
        return None if done else rollout

    def look_after(self) -> None:
        """Between two batches: go to the next phase, and say what has changed."""
        for name, rollout in self.known.items():
            if rollout.is_due:
                rollout.advance()
            before, self._phases[name] = self._phases.get(name, ""), rollout.phase
            if rollout.phase != before:
                self._replace(name, rollout.in_force)
                self.on_phase(rollout, before)
            for stream in rollout.moved:
                self._moved(stream)
            rollout.moved.clear()
