"""`edgelstm model`: versions of models on a running gateway."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgelstm.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from edgelstm.config import Config
    from edgelstm.daemon.model_store import ModelStore

SUMMARY = "List, verify, install, activate and roll back versions of the models of a configuration."
ARGUMENTS = {"list": 0, "verify": 0, "install": 2, "activate": 2, "rollback": 1}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=tuple(ARGUMENTS))
    parser.add_argument("config", help="configuration in TOML; for verify a model file")
    parser.add_argument("model", nargs="?", help="name of a [[model]]")
    parser.add_argument("what", nargs="?", help="install: a model file; activate: a version, or configured")
    parser.add_argument(
        "--public-key",
        type=Path,
        metavar="FILE",
        help="refuse a file without an Ed25519 signature of this key in FILE.sig",
    )


def run(args: argparse.Namespace) -> int:
    from edgelstm import config as configuration
    from edgelstm.daemon.model_store import ModelStore, verified

    given = sum(value is not None for value in (args.model, args.what))
    if given != ARGUMENTS[args.action]:
        raise UsageError(
            f"model {args.action} takes {ARGUMENTS[args.action]} arguments after the file, not {given}"
        )
    if args.action == "verify":
        loaded = verified(Path(args.config), args.public_key)
        signed = ", signature right" if args.public_key else ", no signature asked for"
        print(f"{args.config}: version {loaded.digest[:12]}, {', '.join(loaded.channel_names)}{signed}")
        return 0
    config = configuration.load(args.config)
    stores = {entry.name: ModelStore(config.state_dir, entry) for entry in config.model}
    if args.action == "list":
        for store in stores.values():
            _list(store)
        return 0
    if args.model not in stores:
        raise UsageError(f'no [[model]] is named "{args.model}"; configured: {", ".join(stores)}')
    store = stores[args.model]
    if args.action == "install":
        print(f"installed version {store.install(Path(args.what), args.public_key)}; it is not active yet")
        return 0
    print(f"{store.entry.name}: {_change(config, store, args)}")
    return 0


def _list(store: ModelStore) -> None:
    from edgelstm.daemon.model_store import CONFIGURED

    active = store.active
    for version in ["", *store.versions()]:
        mark = "*" if version == active.version else " "
        phase = "  on probation" if version == active.version and not active.confirmed else ""
        phase = "  in the shadow" if active.candidate == (version or CONFIGURED) else phase
        print(f"{mark} {store.entry.name}  {version or CONFIGURED}  {store.path(version)}{phase}")
    last = active.last_rollback
    if last:
        print(f"  {store.entry.name}  {last.version} was taken back {last.ts}: {last.reason}")


def _change(config: Config, store: ModelStore, args: argparse.Namespace) -> str:
    """Ask the daemon for a change, or write it down for the next start where none is running; return what came of it."""
    from edgelstm.daemon.control import ask

    request = {"model": args.model, **({"version": args.what} if args.action == "activate" else {})}
    try:
        found = ask(config.control_socket, f"model/{args.action}", request)
    except UnavailableError:
        if args.action == "activate":
            store.activate(args.what)
        else:
            store.rollback()
        return (
            f"{store.active.version or 'configured'} is in force from the next start on: no daemon is running"
        )
    if found.get("phase") == "shadow":
        wanted = store.entry.shadow_samples
        return f"{found['version']} runs in the shadow, and takes over after {wanted} samples if nothing speaks against it"
    return f"{found['version']} is in force from the next sample on"
