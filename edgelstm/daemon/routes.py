"""Which input and which stream a topic belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgelstm.config import Config, InputConfig, filters_overlap, slug
from edgelstm.sources import codecs
from edgelstm.stream import LoadedModel


@dataclass(frozen=True, slots=True)
class Route:
    """Where samples of one topic go, and how they are decoded."""

    topic: str
    stream: str
    input: InputConfig
    model: LoadedModel
    decode: codecs.Decode


class Routes:
    """Finds the route of a topic; the first input with a filter that matches takes it."""

    def __init__(self, config: Config, models: Mapping[str, LoadedModel]) -> None:
        self._inputs = [
            (entry, models[entry.model], codecs.make(entry, models[entry.model].channel_names))
            for entry in config.input
        ]
        self._known: dict[str, Route | None] = {}
        self._most_known = 4 * config.limits.max_streams

    def find(self, topic: str) -> Route | None:
        if topic not in self._known:
            if len(self._known) >= self._most_known:
                self._known.clear()  # a flood of topics must not fill the memory
            self._known[topic] = self._find(topic)
        return self._known[topic]

    def _find(self, topic: str) -> Route | None:
        for entry, model, decode in self._inputs:
            if any(filters_overlap(wanted, topic) for wanted in entry.topics):
                return Route(topic, stream_name(entry, topic), entry, model, decode)
        return None


def stream_name(entry: InputConfig, topic: str) -> str:
    """Return the name that the input's template gives to the stream of a topic."""
    levels = topic.split("/")
    return slug(entry.stream.format(*levels, *[""] * (32 - len(levels)), topic=topic.replace("/", "_")))
