"""Versions of models beside the database: installed, activated, rolled back, by hand or because a new one fails.

    models/<name>/<version>.elstm     a version is the first twelve digits of the model's digest
    models/<name>/active.json         which is in force instead of the configured file, and which was before

An activation is on probation until the daemon has scored enough samples with it; a model whose daemon ends three times
before that, or that cannot be loaded, is rolled back at the next start.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import msgspec

from edgelstm.alert_payload import timestamp
from edgelstm.config import ModelConfig, slug
from edgelstm.ed25519 import verify
from edgelstm.errors import ModelFileError, UsageError
from edgelstm.stream import LoadedModel, load

PROBATION_SAMPLES = 200
MOST_STARTS = 3
CONFIGURED = "configured"


class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """A version that was taken back: which, why, and when."""

    version: str
    reason: str
    ts: str


class Active(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force; "" stands for the configured file."""

    version: str = ""
    previous: str = ""
    confirmed: bool = True
    starts: int = 0
    candidate: str = ""  # runs in the shadow of the one in force
    reason: str = ""  # why the last change was made
    last_rollback: Rollback | None = None


class ModelStore:
    """The versions of one model."""

    def __init__(self, folder: Path, entry: ModelConfig) -> None:
        self.entry = entry
        self.folder = folder / "models" / slug(entry.name)
        self._record = self.folder / "active.json"

    @property
    def active(self) -> Active:
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=Active)
        except FileNotFoundError:
            return Active()
        except (OSError, msgspec.DecodeError) as exc:
            raise ModelFileError(
                f"{self._record}: cannot be read: {exc}; remove it to use {self.entry.path}"
            ) from None

    def versions(self) -> list[str]:
        """Return the installed versions, oldest first."""
        return [
            path.stem for path in sorted(self.folder.glob("*.elstm"), key=lambda path: path.stat().st_mtime)
        ]

    def path(self, version: str) -> Path:
        """Return the file of a version; raises UsageError where it is not installed."""
        if not version:
            return Path(self.entry.path)
        path = self.folder / f"{version}.elstm"
        if version not in self.versions():
            raise UsageError(
                f'model "{self.entry.name}" has no version "{version}" installed; '
                f"installed: {', '.join(self.versions()) or 'none'}"
            )
        return path

    def install(self, source: Path, public_key: Path | None = None) -> str:
        """Copy a model file in, after everything about it was checked; return its version. Nothing is activated.

        Raises ModelFileError where the file or its signature is wrong, or it has other channels than the configured one.
        """
        loaded = verified(source, public_key)
        configured = load(self.entry.path)
        if loaded.channel_names != configured.channel_names:
            raise ModelFileError(
                f'{source}: has channels {", ".join(loaded.channel_names)}, but model "{self.entry.name}" has '
                f"{', '.join(configured.channel_names)}"
            )
        if loaded.model.detector_settings is None:
            raise ModelFileError(f"{source}: carries no detector; make it one with: edgelstm calibrate")
        version = loaded.digest[:12]
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self.folder / f".{version}.new"
        shutil.copyfile(source, new)
        os.replace(new, self.folder / f"{version}.elstm")
        return version

    def propose(self, version: str) -> LoadedModel:
        """Note that a version is to run in the shadow, also after a restart; return it. Raises UsageError, ModelFileError."""
        loaded = load(self.path(version))
        before = self.active
        if before.version == version:
            raise UsageError(
                f'model "{self.entry.name}": version "{version or "configured"}" is active already'
            )
        self._write(msgspec.structs.replace(before, candidate=version or CONFIGURED, starts=0))
        return loaded

    def withdraw(self, reason: str) -> None:
        """Forget the candidate; what is in force stays."""
        active = self.active
        self._write(
            msgspec.structs.replace(
                active,
                candidate="",
                starts=0,
                reason=reason,
                last_rollback=_rollback(active.candidate, reason),
            )
        )

    def load_candidate(self, note: list[str]) -> LoadedModel | None:
        """Load the version that was in the shadow when the process ended, unless that was its fault."""
        active = self.active
        if not active.candidate:
            return None
        if active.starts >= MOST_STARTS:
            note.append(
                f'model "{self.entry.name}": the daemon ended {active.starts} times with version {active.candidate} in the shadow'
            )
            self.withdraw("ended the daemon in the shadow")
            return None
        self._write(msgspec.structs.replace(active, starts=active.starts + 1))
        try:
            return load(self.path("" if active.candidate == CONFIGURED else active.candidate))
        except (ModelFileError, UsageError) as exc:
            note.append(str(exc))
            self.withdraw("could not be loaded")
            return None

    def load(self, version: str) -> LoadedModel:
        return load(self.path(version))

    def activate(self, version: str, reason: str = "by request") -> None:
        """Put a version in force, on probation."""
        version = "" if version == CONFIGURED else version
        self.path(version)
        before = self.active
        if before.version == version:
            raise UsageError(
                f'model "{self.entry.name}": version "{version or "configured"}" is active already'
            )
        self._write(
            Active(
                version=version,
                previous=before.version,
                confirmed=False,
                reason=reason,
                last_rollback=before.last_rollback,
            )
        )

    def rollback(self, reason: str = "by request") -> str:
        """Put the version of before in force; return it. Raises UsageError where there is none."""
        before = self.active
        if not self._record.exists() or before.version == before.previous:
            raise UsageError(f'model "{self.entry.name}": there is nothing to go back to')
        self._write(
            Active(
                version=before.previous,
                previous=before.previous,
                reason=reason,
                last_rollback=_rollback(before.version, reason),
            )
        )
        return before.previous

    def confirm(self) -> None:
        """End the probation: enough samples were scored."""
        active = self.active
        if not active.confirmed:
            self._write(msgspec.structs.replace(active, confirmed=True, starts=0))

    def load_active(self, note: list[str]) -> LoadedModel:
        """Load what is in force, after rolling back what has failed; `note` is told of that."""
        active = self.active
        if not active.confirmed and active.starts >= MOST_STARTS:
            note.append(
                f'model "{self.entry.name}": version {active.version} ended the daemon {active.starts} times'
            )
            self.rollback("failed on probation")
            active = self.active
        if not active.confirmed:
            self._write(msgspec.structs.replace(active, starts=active.starts + 1))
        try:
            return load(self.path(active.version))
        except (ModelFileError, UsageError) as exc:
            if not active.version or active.version == active.previous:
                raise
            note.append(str(exc))
            return load(self.path(self.rollback("could not be loaded")))

    def _write(self, active: Active) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._record.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(active))
        os.replace(new, self._record)


def _rollback(version: str, reason: str) -> Rollback:
    return Rollback(version=version or CONFIGURED, reason=reason, ts=timestamp(time.time_ns()))


def verified(path: Path, public_key: Path | None = None) -> LoadedModel:
    """Load a model file and check all that can be; with a public key also its signature, in PATH.sig.

    Raises ModelFileError. A key is 32 bytes, a signature 64, over the SHA-256 of the file: raw, or in hexadecimal digits.
    """
    loaded = load(path)
    if public_key is None:
        return loaded
    signature = path.with_name(path.name + ".sig")
    digest = hashlib.sha256(path.read_bytes()).digest()
    if not verify(_octets(public_key, 32), digest, _octets(signature, 64)):
        raise ModelFileError(f"{signature}: is no signature of {path.name} by the owner of {public_key}")
    return loaded


def _octets(path: Path, count: int) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise ModelFileError(f"{path}: cannot be read: {exc.strerror}") from None
    if len(content) == count:
        return content
    try:
        found = bytes.fromhex(content.decode().strip())
    except (UnicodeDecodeError, ValueError):
        found = b""
    if len(found) != count:
        raise ModelFileError(f"{path}: expected {count} bytes, raw or in hexadecimal digits")
    return found
