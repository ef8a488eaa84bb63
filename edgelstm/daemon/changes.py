"""Versions of models in a running daemon: asked for, tried in the shadow, put in force, taken back, and written down."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgelstm.daemon.model_store import CONFIGURED, PROBATION_SAMPLES, ModelStore
from edgelstm.daemon.rollout import FAILED, PASSED, PROBATION, SHADOW, Rollout
from edgelstm.daemon.routes import settings_of
from edgelstm.errors import EdgeLstmError, ModelFileError, UsageError
from edgelstm.stream import LoadedModel

if TYPE_CHECKING:
    from edgelstm.daemon.service import Service

_log = logging.getLogger(__name__)
IN_FORCE = "in force"
"""The phase of a model of which nothing is being changed."""


class Changes:
    """Carries out what requests want of models; what a rollout comes to is recorded on the worker's thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stores = {
            entry.name: ModelStore(service.config.state_dir, entry) for entry in service.config.model
        }

    def listed(self) -> list[dict[str, Any]]:
        """Return every model with its versions, the one in force, and how far a change of it is."""
        return [
            {
                "model": name,
                "active": self._service.models[name].digest[:12],
                "versions": store.versions(),
                **self._progress(name),
            }
            for name, store in self._stores.items()
        ]

    def progress(self) -> dict[str, dict[str, Any]]:
        """Return of every model which version judges, how far a change of it is, and what was taken back last."""
        return {name: self._stand(name, store) for name, store in self._stores.items()}

    def install(self, name: str, content: str, sha256: str, signature: str) -> str:
        """Take in a model file that came in a request, base64; return its version. It is not active yet."""
        store, key = self._store(name), self._service.config.control.public_key
        try:
            octets, signed = base64.b64decode(content, validate=True), bytes.fromhex(signature)
        except (binascii.Error, ValueError) as exc:
            raise UsageError(f"content has to be base64, signature hexadecimal: {exc}") from None
        if hashlib.sha256(octets).hexdigest() != sha256.lower():
            raise ModelFileError("content: is not the file that sha256 names")
        with tempfile.TemporaryDirectory(dir=self._service.config.state_dir) as folder:
            file = Path(folder) / "model.elstm"
            file.write_bytes(octets)
            file.with_name(file.name + ".sig").write_bytes(signed)
            try:
                return store.install(file, Path(key) if key else None)
            except EdgeLstmError as exc:  # the path is nobody's business
                raise type(exc)(str(exc).replace(f"{folder}/", "")) from None

    def activate(self, name: str, version: str) -> dict[str, Any]:
        """Let a version run in the shadow of the one in force."""
        store, entry = self._store(name), self._store(name).entry
        running = self._service.worker.rollouts.known.get(name)
        if running is not None and not running.is_over:
            raise UsageError(f'model "{name}": a change is on its way ({running.phase}); roll it back first')
        wanted = "" if version == CONFIGURED else version
        self._check(name, store.load(wanted))
        loaded = store.propose(wanted)
        self._begin(Rollout(entry, self._service.models[name], loaded))
        return {"model": name, "version": loaded.digest[:12], **self._progress(name)}

    def roll_back(self, name: str) -> dict[str, Any]:
        """End a change that is on its way, or put the version of before in force."""
        store, worker = self._store(name), self._service.worker
        running = worker.rollouts.known.get(name)
        if running is not None and not running.is_over:
            worker.errands.run(lambda: worker.rollouts.end(running, "by request"))
        else:
            loaded = store.load(store.rollback())
            self._begin(Rollout(store.entry, self._service.models[name], loaded, PASSED))
        return {"model": name, "version": self._service.models[name].digest[:12]}

    def resume(self, notes: list[str]) -> None:
        """Go on with versions that were in the shadow when the process before ended; `notes` are told of those that cannot."""
        for name, store in self._stores.items():
            loaded = store.load_candidate(notes)
            if loaded is not None:
                rollout = Rollout(store.entry, self._service.models[name], loaded)
                self._service.worker.rollouts.begin(rollout)

    def record(self, rollout: Rollout, before: str) -> None:
        """Write down and tell what phase a rollout has come to; called by the worker, between two batches."""
        name, version = rollout.entry.name, rollout.new.digest[:12]
        store, service = self._stores[name], self._service
        text = {
            SHADOW: "runs in the shadow",
            PROBATION: "is in force, on probation",
            PASSED: "is in force",
            FAILED: f"was taken back: {rollout.reason}",
        }
        try:
            if rollout.phase == PROBATION:
                store.activate(store.active.candidate, "after the shadow")
            elif rollout.phase == PASSED:
                store.confirm()
            elif rollout.phase == FAILED:
                service.counters.add("models_rolled_back")
                if before == PROBATION:
                    store.rollback(rollout.reason)
                else:
                    store.withdraw(rollout.reason)
        except (OSError, EdgeLstmError) as exc:
            service.counters.complain("model_not_recorded", name, str(exc))
        service.models[name] = rollout.in_force
        service.tell(f"model-{rollout.phase}", f'model "{name}": version {version} {text[rollout.phase]}')
        service.publisher.keep(service.topics.info, service.report.info())

    def _begin(self, rollout: Rollout) -> None:
        worker = self._service.worker
        worker.errands.run(lambda: worker.rollouts.begin(rollout))

    def _stand(self, name: str, store: ModelStore) -> dict[str, Any]:
        found: dict[str, Any] = {
            "version": self._service.models[name].digest[:12],
            "phase": IN_FORCE, "candidate": None, "samples": None, "samples_wanted": None, "last_rollback": None,
        }  # fmt: skip
        try:
            active = store.active
        except ModelFileError:  # `edgelstm model list` and the next start say more
            return {**found, "phase": "unknown"}
        rollout = self._service.worker.rollouts.known.get(name)
        if rollout is not None and not rollout.is_over:
            found |= {
                "phase": rollout.phase,
                "samples": rollout.samples,
                "samples_wanted": store.entry.shadow_samples,
            }
            if rollout.phase == SHADOW:
                found["candidate"] = rollout.new.digest[:12]
        elif not active.confirmed:  # begun by an earlier process
            found |= {"phase": PROBATION, "samples": self._service.counters.snapshot().get("scored", 0)}
            found["samples_wanted"] = PROBATION_SAMPLES
        return {**found, "last_rollback": active.last_rollback}

    def _progress(self, name: str) -> dict[str, Any]:
        rollout = self._service.worker.rollouts.known.get(name)
        if rollout is None or rollout.phase == PASSED:
            return {}
        found = {"phase": rollout.phase, "version": rollout.new.digest[:12], "samples": rollout.samples}
        return {**found, "reason": rollout.reason} if rollout.reason else found

    def _store(self, name: str) -> ModelStore:
        if name not in self._stores:
            raise UsageError(f'no [[model]] is named "{name}"; configured: {", ".join(self._stores)}')
        return self._stores[name]

    def _check(self, name: str, loaded: LoadedModel) -> None:
        """Hold a version against the inputs that it is to judge; raises UsageError or ConfigError."""
        running = self._service.models[name].model.detector_settings
        settings = loaded.model.detector_settings
        for entry in self._service.config.input:
            if entry.model == name:
                settings_of(entry, loaded)
        if running is not None and settings is not None and settings.period_ns != running.period_ns:
            raise UsageError(
                f'model "{name}": version {loaded.digest[:12]} is for samples every {settings.period_ns / 1e9:g} s, '
                f"the one in force {running.period_ns / 1e9:g} s: set model.path and reload"
            )
