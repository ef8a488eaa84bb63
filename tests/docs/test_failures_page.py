"""docs/failures.md: every test, counter and word of the log that a row names is there."""

import re
from pathlib import Path

import pytest

from edgelstm import schemas

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in (ROOT / "docs" / "failures.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| what |")
]
TESTS = set(
    re.findall(
        r"^def (test_\w+)\(", "\n".join(p.read_text() for p in (ROOT / "tests").rglob("test_*.py")), re.M
    )
)
SOURCE = "\n".join(path.read_text() for path in (ROOT / "edgelstm").rglob("*.py"))
COUNTERS = set(
    re.findall(r"`(\w+)`", (ROOT / "docs" / "daemon.md").read_text().split("## Log and counters")[1])
)
ELSEWHERE = set(schemas.PAYLOADS["health"]["properties"]) | {"state", "event", "last_rollback", "kept"}


def test_it_is_a_page_of_rows():
    assert len(ROWS) >= 25


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_what_exists(row):
    _, _, seen, _, tests = row
    named = re.findall(r"`(\w+)`", tests)
    assert named and set(named) <= TESTS, set(named) - TESTS
    for word in re.findall(r"`([^`]+)`", seen):
        if word.startswith("event="):
            assert word in SOURCE, word
        elif re.fullmatch(r"[a-z_]+", word):
            assert word in COUNTERS | ELSEWHERE, word
        elif re.fullmatch(r"[a-z]+-[a-z]+", word):
            assert f'"{word}"' in SOURCE or f'"{word.split("-")[1]}"' in SOURCE, word
        elif not word.startswith(("edgelstm ", "/", "session=", '"')):
            assert word in SOURCE, word
