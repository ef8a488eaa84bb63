"""The page that Prometheus reads: every line is one, and histograms add up."""

import re
from pathlib import Path

import pytest

from edgelstm.daemon.memory import give_back_compiler, resident_bytes
from edgelstm.daemon.metrics import BUCKETS_S, Histogram, page
from edgelstm.detector import warm_up

LINE = re.compile(r'[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\.)*"(,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? -?[0-9.e+-]+')


def test_every_line_is_a_sample_or_a_type_and_no_family_comes_twice():
    histogram = Histogram()
    histogram.add(0.003)
    text = page(
        {"samples": 7}, {'edgelstm_mqtt_connected{link="in"}': True, 'edgelstm_mqtt_connected{link="out"}': False},
        {"edgelstm_batch_seconds": histogram}, {'pump "7"\n': "ab" * 32},
    )  # fmt: skip
    types = [line for line in text.splitlines() if line.startswith("# TYPE")]
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(types) == len(set(types)) == 5
    assert all(LINE.fullmatch(line) for line in samples), samples
    assert "edgelstm_samples_total 7" in samples
    assert 'edgelstm_mqtt_connected{link="out"} 0' in samples


def test_a_histogram_counts_what_is_at_most_its_bound():
    histogram = Histogram()
    for seconds in (0.0, BUCKETS_S[0], BUCKETS_S[0] * 1.01, 100.0):
        histogram.add(seconds)
    lines = dict(line.rsplit(" ", 1) for line in histogram.lines("h") if not line.startswith("#"))
    assert lines['h_bucket{le="0.0005"}'] == "2" and lines['h_bucket{le="0.001"}'] == "3"
    assert lines['h_bucket{le="2.5"}'] == "3" and lines['h_bucket{le="+Inf"}'] == lines["h_count"] == "4"
    assert float(lines["h_sum"]) > 100


def test_the_memory_of_this_process_is_known():
    assert resident_bytes() > 10 << 20


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says what is resident")
def test_kernels_run_after_the_compiler_was_given_back():
    warm_up()
    before = compiler_kib()
    give_back_compiler()
    assert compiler_kib() < before / 4
    warm_up()


def compiler_kib():
    """Return how much of the compiler's code is resident."""
    found = re.findall(
        r" r-xp .*libllvmlite.*\n(?:.*kB\n)*?Rss: +(\d+) kB", Path("/proc/self/smaps").read_text()
    )
    return sum(map(int, found))
