"""Frames of a serial line: found whatever the line did to them, never made up."""

import os
import tty

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelstm import sources
from edgelstm.config import Config, InputConfig
from edgelstm.errors import ConfigError
from edgelstm.sources.frames import START, Frames, encode
from rig import wait_for

PAYLOADS = [bytes([n] * 8) for n in range(40)]
WHOLE = [encode(n, payload) for n, payload in enumerate(PAYLOADS)]


def payloads(frames, data):
    return [frame.payload for frame in frames.feed(data)]


@given(st.lists(st.binary(max_size=255), max_size=20), st.integers(1, 40))
def test_frames_come_out_as_they_went_in_however_they_are_cut(contents, size):
    data = b"".join(encode(n, content) for n, content in enumerate(contents))
    frames, found = Frames(), []
    for first in range(0, len(data), size):
        found += payloads(frames, data[first : first + size])
    assert found == contents
    assert (frames.damaged, frames.missing, frames.repeats, frames.resets) == (0, 0, 0, 0)


@given(st.data())
def test_a_damaged_dropped_or_doubled_byte_costs_its_own_frame_only(data):
    hit = data.draw(st.integers(5, 30))
    at = data.draw(st.integers(0, len(WHOLE[hit]) - 1))
    frame = bytearray(WHOLE[hit])
    kind = data.draw(st.sampled_from(["damaged", "dropped", "doubled"]))
    if kind == "damaged":
        frame[at] ^= data.draw(st.integers(1, 255))
    elif kind == "dropped":
        del frame[at]
    else:
        frame.insert(at, frame[at])
    frames = Frames()
    found = payloads(frames, b"".join([*WHOLE[:hit], bytes(frame), *WHOLE[hit + 1 :]]))
    assert found in (
        PAYLOADS,
        PAYLOADS[:hit] + PAYLOADS[hit + 1 :],
    )  # a doubled byte may stand before the start


@given(st.binary(max_size=2000))
def test_noise_is_counted_and_is_no_frame(noise):
    frames = Frames()
    for frame in frames.feed(noise):
        assert encode(frame.sequence, frame.payload) in noise
    found = payloads(frames, b"\x00" * 300 + b"".join(WHOLE))  # enough for what noise made look like a frame
    assert found[-len(WHOLE) :] == PAYLOADS


def test_repeats_are_left_out_and_losses_and_resets_counted():
    frames = Frames()
    data = [*WHOLE[:3], WHOLE[2], *WHOLE[6:8], *WHOLE[:2]]
    assert payloads(frames, b"".join(data)) == [PAYLOADS[n] for n in (0, 1, 2, 6, 7, 0, 1)]
    assert (frames.repeats, frames.missing, frames.resets, frames.damaged) == (1, 3, 1, 0)


def test_the_sequence_goes_on_past_its_end():
    frames = Frames()
    assert len(frames.feed(b"".join(encode(n, b"x") for n in (65_534, 65_535, 65_536, 65_537)))) == 4
    assert (frames.missing, frames.resets) == (0, 0)


def test_a_serial_line_becomes_messages_and_is_opened_when_it_appears(tmp_path):
    path, got = tmp_path / "line", []
    source = sources.make(
        InputConfig(name="mcu", source=f"serial:{path}", format="raw", model="m"), Config(), got.append
    )
    source.start()
    wait_for(lambda: source.state.startswith("cannot open the line"), what="that the line is missing")
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    path.symlink_to(os.ttyname(theirs))
    wait_for(lambda: source.state.startswith("reading"), what="the line")
    sample = np.arange(4, dtype="<f4").tobytes()
    os.write(ours, b"boot\n" + START + encode(0, sample) + encode(1, sample))
    wait_for(lambda: len(got) == 2, what="two samples")
    assert [(m.topic, m.payload) for m in got] == [("mcu", sample)] * 2
    assert source.frames.damaged == len(b"boot\n" + START)
    assert source.counts == {
        "serial_frames": 2, "serial_frames_missing": 0, "serial_frames_repeated": 0, "serial_bytes_damaged": 7,
        "serial_device_resets": 0,
    }  # fmt: skip
    source.stop()
    os.close(ours)
    os.close(theirs)


def test_a_speed_that_no_line_has_is_refused(tmp_path):
    entry = InputConfig(name="mcu", source="serial:/dev/ttyS0@123", format="raw", model="m")
    with pytest.raises(ConfigError, match='"123" is no speed of a serial line'):
        sources.make(entry, Config(), print)
