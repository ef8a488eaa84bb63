"""What `edgelstm tune` can search a network for: this machine, or a microcontroller's core in an emulator."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from edgelstm.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgelstm.stream import LoadedModel
    from edgelstm_converters.training.tuning import Cost, Target


def target_of(name: str) -> Target:
    """Return the target of a name; raises UsageError where there is none, UnavailableError where it cannot be built for."""
    from edgelstm_converters.training.tuning import Target, host
    from edgelstm_firmware_sim.mcu.targets import TARGETS

    if name == "host":
        return host()
    if name not in TARGETS:
        raise UsageError(f'--target "{name}" is not known; expected one of: host, {", ".join(TARGETS)}')
    from edgelstm_firmware_sim.mcu.build import BuildError, compiler_for

    try:
        compiler_for(TARGETS[name])
    except BuildError as exc:
        raise UnavailableError(str(exc)) from None
    return Target(
        name,
        f"bytes of flash on a {name}",
        f"instructions a sample on a {name}",
        lambda loaded, _: _cost_on(name, loaded),
    )


def _cost_on(name: str, loaded: LoadedModel) -> Cost:
    """Export the model as C, build it and step it in an emulator, as `edgelstm export-c --target` does, without a detector."""
    from edgelstm_converters.c_export import export, self_test
    from edgelstm_converters.training.tuning import Cost, DoesNotFit
    from edgelstm_firmware_sim.mcu.build import BuildError
    from edgelstm_firmware_sim.mcu.measure import measure
    from edgelstm_firmware_sim.mcu.targets import TARGETS
    from edgelstm_firmware_sim.mcu.unicorn_core import EmulationError

    x: NDArray[np.float32] = self_test.signal(loaded.model)
    with tempfile.TemporaryDirectory() as folder:
        exported = export(loaded, folder, "tried")
        try:
            found = measure(exported.folder, TARGETS[name], x, loaded.stream().run(x))
        except (BuildError, EmulationError) as exc:
            if "overflow" in str(exc) or "will not fit" in str(exc):
                raise DoesNotFit from None
            raise UnavailableError(str(exc)) from None
        except ImportError as exc:
            raise UnavailableError(
                f"--target needs an emulator and a reader of images: pip install 'edgelstm[mcu]' ({exc})"
            ) from None
    return Cost(found.flash, float(found.instructions))
