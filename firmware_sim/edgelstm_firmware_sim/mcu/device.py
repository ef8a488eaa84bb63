"""A pretend sensor board: firmware with a model in an emulated core, between a simulated sensor and a serial line."""

from __future__ import annotations

import os
import time
import tty
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm_firmware_sim.mcu.build import Image
from edgelstm_firmware_sim.mcu.unicorn_core import UnicornCore

SENSOR, UART, STORE = 0x40000000, 0x40001000, 0x40010000
SLOT_BYTES = 0x10000
STORE_BYTES = 2 * SLOT_BYTES


class Device:
    """A `device` or `watcher` image: a sample goes in, the bytes that the firmware sends come out."""

    def __init__(self, image: Image) -> None:
        """Boot the firmware up to where it waits for its first sample, its flash page for snapshots erased."""
        self._image, self._store = image, b"\xff" * STORE_BYTES
        self._boot()

    def reset(self) -> None:
        """Press the button: the core begins again, with all it had in RAM lost; what it wrote to flash stays."""
        self._store = bytes(self._core.machine.mem_read(STORE, STORE_BYTES))
        self._boot()

    def store(self, slot: int) -> bytes:
        """Return what is in one of the two places for a snapshot."""
        return bytes(self._core.machine.mem_read(STORE + slot * SLOT_BYTES, SLOT_BYTES))

    def damage(self, slot: int) -> None:
        """Leave a snapshot half written, as a reset at the wrong time would."""
        self._core.machine.mem_write(STORE + slot * SLOT_BYTES + 100, b"\xff" * 64)

    def _boot(self) -> None:
        self._sent = bytearray()
        self._core = UnicornCore(self._image, stop_at="wait_for_sample", devices=self._attach)

    def push(self, x: NDArray[np.float32]) -> bytes:
        """Let the sensor show float32 (channels,); return what the firmware writes to the serial line."""
        self._core.machine.mem_write(SENSOR, x.astype("<f4").tobytes())
        self._core.run_to("wait_for_sample")
        sent, self._sent[:] = bytes(self._sent), b""
        return sent

    def forecast(self) -> NDArray[np.float32]:
        """Return what the model in the firmware gave for the last sample, float32 (outputs,)."""
        return self._core.outputs()

    def _attach(self, machine: Any) -> None:
        machine.mem_map(SENSOR, 0x1000)
        machine.mem_map(STORE, STORE_BYTES)
        machine.mem_write(STORE, self._store)
        machine.mmio_map(UART, 0x1000, None, None, self._write, None)

    def _write(self, machine: Any, offset: int, size: int, value: int, context: Any) -> None:
        self._sent.append(value & 0xFF)


def serve(
    device: Device,
    samples: Callable[[], NDArray[np.float32]],
    period_s: float,
    count: int | None,
    say: Callable[[str], None],
) -> int:
    """Show the device a sample every `period_s` and write what it sends to a pseudo-terminal, whose path `say` gets.

    Ends after `count` samples, or when interrupted; returns how many there were.
    """
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    say(os.ttyname(theirs))
    done, due = 0, time.monotonic()
    try:
        while count is None or done < count:
            try:
                os.write(ours, device.push(samples()))
            except BlockingIOError:  # nobody reads: a serial line does not wait either
                pass
            done += 1
            due += period_s
            time.sleep(max(0.0, due - time.monotonic()))
    except KeyboardInterrupt:
        pass
    finally:
        os.close(ours)
        os.close(theirs)
    return done
