"""Machine code is kept where the digest of all kernel sources says, and nowhere else: nothing goes stale without a sound."""

import json
import subprocess
import sys

import pytest

from edgelstm.kernels import CACHE

PATHS = """
import json, sys
import edgelstm.detector_batch
paths = {
    f"{name}.{function}": str(kernel.stats.cache_path)
    for name, module in list(sys.modules.items())
    if name.startswith("edgelstm.kernels.")
    for function, kernel in vars(module).items()
    if hasattr(kernel, "stats") and hasattr(kernel, "py_func")
}
print(json.dumps(paths))
"""


@pytest.mark.skipif(CACHE.directory is None, reason="machine code is not kept here")
def test_what_detectors_and_networks_compile_is_kept_in_the_cache_of_this_digest():
    done = subprocess.run([sys.executable, "-c", PATHS], capture_output=True, text=True, check=True)
    paths = json.loads(done.stdout)
    assert "edgelstm.kernels.detection.many.run_many" in paths
    assert not [name for name, path in paths.items() if not path.startswith(str(CACHE.directory))]
