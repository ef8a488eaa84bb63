"""Commands of the distribution, and what they said."""

import subprocess

PYTHON = "/usr/bin/python3"


def said(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
