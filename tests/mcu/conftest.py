"""Families whose C is made once in a session."""

import pytest
from c_families import make_family


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    """Return a function from a case of a family to its C, its recording and what the twin gives."""
    made = {}

    def make(case, extreme=False):
        key = case, extreme
        if key not in made:
            made[key] = make_family(case, tmp_path_factory.mktemp("family"), extreme)
        return made[key]

    return make
