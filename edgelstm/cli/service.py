"""`edgelstm service`: the daemon as a systemd service."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from edgelstm.errors import UnavailableError, UsageError

SUMMARY = "Print the hardened systemd unit of the daemon, install and start it, or remove it."
UNIT = Path("/etc/systemd/system/edgelstm.service")
SECTIONS = {
    "Unit": """\
Description=edgelstm anomaly detection
Documentation=man:systemd.service(5)
After=network-online.target mosquitto.service
Wants=network-online.target
StartLimitIntervalSec=0""",
    "Service": """\
Type=notify
NotifyAccess=main
ExecStart={command} run {config}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
RestartPreventExitStatus=69 78
TimeoutStartSec=900
TimeoutStopSec=20
WatchdogSec=30
DynamicUser=yes
StateDirectory=edgelstm
StateDirectoryMode=0700
CacheDirectory=edgelstm
RuntimeDirectory=edgelstm
RuntimeDirectoryPreserve=restart
{credential}UMask=0077
MemoryMax=512M
TasksMax=64
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectHostname=yes
ProtectClock=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged""",
    "Install": "WantedBy=multi-user.target",
}
"""MemoryDenyWriteExecute has to stay off: kernels are compiled on the machine."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("print", "install", "remove"))
    parser.add_argument("config", nargs="?", help="configuration in TOML, for print and install")
    parser.add_argument(
        "--password-file", metavar="FILE", help="given to the service as its credential mqtt-password"
    )


def run(args: argparse.Namespace) -> int:
    if args.action == "remove":
        return _remove()
    if not args.config:
        raise UsageError(f"service {args.action} needs the configuration that the daemon will run")
    from edgelstm import config as configuration

    configuration.load(args.config)  # a service that cannot start helps nobody
    text = unit(Path(args.config).resolve(), args.password_file)
    if args.action == "print":
        print(text, end="")
        return 0
    if shutil.which("systemctl") is None:
        raise UnavailableError("there is no systemctl here; print the unit with: edgelstm service print")
    try:
        UNIT.write_text(text)
    except OSError as exc:
        raise UnavailableError(f"{UNIT}: cannot be written: {exc.strerror}; are you root?") from None
    for command in (["daemon-reload"], ["enable", "--now", UNIT.name]):
        _systemctl(*command)
    print(f"installed {UNIT} and started it; see: systemctl status {UNIT.stem}, journalctl -u {UNIT.stem}")
    return 0


def unit(config: Path, password_file: str | None = None) -> str:
    """Return the text of the unit."""
    command = Path(sys.argv[0]).resolve()
    if command.name != "edgelstm" or not os.access(command, os.X_OK):
        command = Path(sys.prefix) / "bin" / "edgelstm"
    credential = f"LoadCredential=mqtt-password:{Path(password_file).resolve()}\n" if password_file else ""
    values = {"command": command, "config": config, "credential": credential}
    sections = (f"[{name}]\n{text.format(**values)}\n" for name, text in SECTIONS.items())
    return "\n".join(sections)


def _remove() -> int:
    if not UNIT.exists():
        raise UsageError(f"{UNIT}: is not installed")
    _systemctl("disable", "--now", UNIT.name)
    UNIT.unlink()
    _systemctl("daemon-reload")
    print(f"removed {UNIT}; state is kept in /var/lib/edgelstm")
    return 0


def _systemctl(*arguments: str) -> None:
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"systemctl {' '.join(arguments)}: {done.stderr.strip().splitlines()[-1:]}")
