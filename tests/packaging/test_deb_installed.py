"""The Debian package on this very machine: installed, run as its user, upgraded under a daemon, removed, purged."""

import contextlib
import grp
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from dpkg import said

from rig import MOSQUITTO, Broker, Publisher, Subscriber, wait_for

CONFIG = Path("/etc/edgelstm/edgelstm.toml")
UNIT = Path("/usr/lib/systemd/system/edgelstm.service")
STATE = Path("/var/lib/edgelstm")
FOLDERS = {
    "STATE_DIRECTORY": STATE,
    "CACHE_DIRECTORY": Path("/var/cache/edgelstm"),
    "RUNTIME_DIRECTORY": Path("/run/edgelstm"),
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("dpkg") is None, reason="installs a package: needs root and dpkg"),
    pytest.mark.skipif(
        Path("/opt/edgelstm").exists() or CONFIG.parent.exists(), reason="there is an edgelstm here already, which stays as it is"
    ),
]  # fmt: skip


@pytest.fixture
def purged():
    yield
    subprocess.run(["dpkg", "--purge", "edgelstm"], capture_output=True, check=False)
    shutil.rmtree("/run/edgelstm", ignore_errors=True)


class ByHand:
    """What the unit says, done by hand: folders, user, environment, and an ear for what the daemon tells systemd."""

    def __init__(self, folder):
        text = UNIT.read_text()
        self.command = re.search(r"^ExecStart=(.*)$", text, re.M)[1].split()
        self.user = re.search(r"^User=(.*)$", text, re.M)[1]
        for line in (
            "StateDirectory=edgelstm",
            "CacheDirectory=edgelstm",
            "RuntimeDirectory=edgelstm",
            "UMask=0077",
        ):
            assert line in text.splitlines()
        account = pwd.getpwnam(self.user)
        for path in FOLDERS.values():
            path.mkdir(mode=0o700, exist_ok=True)
            os.chown(path, account.pw_uid, account.pw_gid)
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind("\0edgelstm-installed-test")
        self.log, self.process = folder / "daemon.log", None

    def start(self):
        environment = {name: str(path) for name, path in FOLDERS.items()}
        environment |= {
            "PATH": "/usr/bin:/bin",
            "NOTIFY_SOCKET": "@edgelstm-installed-test",
            "LANG": "C.UTF-8",
        }
        confined = ["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups", "--no-new-privs", "--bounding-set=-all"]  # fmt: skip
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*confined, *self.command], env=environment, umask=0o077, cwd="/", stdout=log, stderr=log
            )
        self.notices.settimeout(0.5)
        wait_for(
            self._says_ready, 600, f"the daemon to be ready, see {self.log}"
        )  # it compiles its kernels first
        return self

    def _says_ready(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(TimeoutError):
            return "READY=1" in self.notices.recv(4096).decode()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def close(self):
        self.notices.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def as_user(name, *command):
    return subprocess.run(
        ["runuser", "-u", name, "--", *command], capture_output=True, text=True, cwd="/", check=False
    )


def next_version(package, folder):
    """Return the package as a later version of it, with another sample configuration."""
    said("dpkg-deb", "--raw-extract", package, folder / "tree")
    control = folder / "tree/DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.0-1", control.read_text(), flags=re.M))
    config = folder / "tree" / CONFIG.relative_to("/")
    config.write_text(config.read_text() + "# a later version says more\n")
    said("dpkg-deb", "--root-owner-group", "-Znone", "--build", folder / "tree", folder / "later.deb")
    return folder / "later.deb"


def test_from_installation_to_purge(package, tmp_path, purged):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (Debian, Ubuntu: apt install mosquitto)")
    said("dpkg", "--install", package)
    account = pwd.getpwnam("edgelstm")
    assert account.pw_shell.endswith("nologin") and grp.getgrgid(account.pw_gid).gr_name == "edgelstm"
    assert said("env", "-i", "/bin/sh", "-c", "PATH=/usr/bin:/bin edgelstm --version").startswith("edgelstm ")
    assert as_user("nobody", "cat", str(CONFIG)).returncode, "the configuration may hold a password"
    assert as_user("edgelstm", "edgelstm", "check", str(CONFIG)).stdout.endswith("ok\n")
    if shutil.which("systemd-analyze"):
        said("systemd-analyze", "verify", UNIT)
    broker = Broker(tmp_path).start()
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(broker.kill)
        text = CONFIG.read_text()
        edited = re.sub(r"^url = .*$", f'url = "mqtt://127.0.0.1:{broker.port}"', text, count=1, flags=re.M)
        assert edited != text
        CONFIG.write_text(edited)
        seen = Subscriber(broker.port, "edgelstm/#")
        cleanup.callback(seen.close)
        daemon = ByHand(tmp_path)
        cleanup.callback(daemon.close)
        daemon.start()
        publisher = Publisher(broker.port)
        cleanup.callback(publisher.close)
        publisher.raw(
            "plant/pump1/telemetry",
            json.dumps({"ts": time.time(), "flow": 196, "pressure": 1.9, "current": 8.3, "vibration": 0.86}),
        )
        wait_for(lambda: seen.raw("stream/pump1/availability") == [b"online"], what=f"a stream: {daemon.log}")
        status = wait_for(lambda: as_user("edgelstm", "edgelstm", "status", str(CONFIG)), what="the status")
        assert status.returncode == 0, status.stderr + daemon.log.read_text()
        assert not list(STATE.glob("**/*.py")) and STATE.stat().st_mode & 0o777 == 0o700

        said("dpkg", "--install", "--force-confdef", "--force-confold", next_version(package, tmp_path))
        assert CONFIG.read_text() == edited and CONFIG.with_name("edgelstm.toml.dpkg-dist").exists()
        assert daemon.process.poll() is None, "a package stops nothing that systemd does not run"
        assert daemon.stop() == 0, daemon.log.read_text()
        daemon.start()  # as try-restart does
        status = as_user("edgelstm", "edgelstm", "status", str(CONFIG))
        assert status.returncode == 0 and "session=kept" in daemon.log.read_text(), status.stdout
        assert daemon.stop() == 0

    said("dpkg", "--remove", "edgelstm")
    assert not Path("/opt/edgelstm").exists() and not Path("/usr/bin/edgelstm").exists() and not UNIT.exists()
    assert CONFIG.read_text() == edited and list(STATE.iterdir())
    said("dpkg", "--purge", "edgelstm")
    assert not CONFIG.parent.exists() and not STATE.exists() and not FOLDERS["CACHE_DIRECTORY"].exists()
    for lookup in (pwd.getpwnam, grp.getgrnam):
        with pytest.raises(KeyError):
            lookup("edgelstm")
