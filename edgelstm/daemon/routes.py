"""Which input and which stream a topic belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from edgelstm.config import Config, InputConfig, explain, stream_name
from edgelstm.detector_settings import DetectorSettings
from edgelstm.errors import ConfigError
from edgelstm.sources import codecs
from edgelstm.stream import LoadedModel
from edgelstm.topic_filters import filters_overlap

MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Route:
    """Where samples of one topic go, and how they are decoded."""

    topic: str
    input: InputConfig
    model: LoadedModel
    decode: codecs.Decode
    settings: DetectorSettings
    names: dict[str, str] = field(default_factory=dict)  # of streams, by key

    def stream(self, key: str = "") -> str:
        """Return the name of the stream that samples with this key belong to."""
        name = self.names.get(key)
        if name is None:
            if len(self.names) >= MOST_KEYS:
                self.names.clear()
            name = self.names[key] = stream_name(self.input, self.topic, key)
        return name


class Routes:
    """Finds the route of a topic; the first input with a filter that matches takes it."""

    def __init__(self, config: Config, models: Mapping[str, LoadedModel]) -> None:
        self._inputs = [_of_input(entry, models[entry.model]) for entry in config.input]
        self._known: dict[str, Route | None] = {}
        self._most_known = 4 * config.limits.max_streams

    def find(self, topic: str) -> Route | None:
        if topic not in self._known:
            if len(self._known) >= self._most_known:
                self._known.clear()  # a flood of topics must not fill the memory
            self._known[topic] = self._find(topic)
        return self._known[topic]

    def replace(self, name: str, model: LoadedModel) -> None:
        """Let streams that are opened from now on have another version of a model; what decoders know stays."""
        self._inputs = [
            (entry, model, decode, settings_of(entry, model))
            if entry.model == name
            else (entry, known, decode, settings)
            for entry, known, decode, settings in self._inputs
        ]
        for topic, route in self._known.items():
            if route is not None and route.input.model == name:
                settings = settings_of(route.input, model)
                self._known[topic] = replace(route, model=model, settings=settings)

    def _find(self, topic: str) -> Route | None:
        for entry, model, decode, settings in self._inputs:
            named = bool(entry.source) and topic == entry.name
            if named or any(filters_overlap(wanted, topic) for wanted in entry.filters):
                return Route(topic, entry, model, decode, settings)
        return None


def _of_input(
    entry: InputConfig, model: LoadedModel
) -> tuple[InputConfig, LoadedModel, codecs.Decode, DetectorSettings]:
    settings = settings_of(entry, model)
    return entry, model, codecs.make(entry, model.channel_names, settings.period_ns), settings


def settings_of(entry: InputConfig, model: LoadedModel) -> DetectorSettings:
    """Return the detector settings of the model file, with what the input overrides.

    Raises ConfigError for a model without a detector, and for an override that is none or out of range.
    """
    settings = model.model.detector_settings
    if settings is None:
        raise ConfigError(
            f'input "{entry.name}": model "{entry.model}" carries no detector; make it one with: edgelstm calibrate'
        )
    if not entry.detector:
        return settings
    if entry.format == "device":
        raise ConfigError(
            f'input "{entry.name}": detector: the device decides, by the settings that it was exported with; change them in '
            "the model file (edgelstm calibrate) and export it again"
        )
    changes = dict(entry.detector)
    if "threshold" in changes:  # one that is asked for stays: the budget moves it between these two
        for bound in ("threshold_low", "threshold_high"):
            changes.setdefault(bound, changes["threshold"])
    try:
        return msgspec.convert({**msgspec.to_builtins(settings), **changes}, DetectorSettings)
    except msgspec.ValidationError as exc:
        raise ConfigError(f'input "{entry.name}": detector: {explain(str(exc), DetectorSettings)}') from None
