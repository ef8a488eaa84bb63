"""Which dot-product instruction the processor has that Numba compiles for: asked of LLVM, not of a list of names.

A processor's name implies features that no feature string spells out, and an intrinsic that the target lacks
aborts the process. So a plain dot product is compiled for the target, which takes milliseconds and cannot fail, and
the assembly tells what the target has.
"""

from __future__ import annotations

import enum
from functools import cache

from llvmlite import binding, ir

_BYTES = 64


class Dot(enum.Enum):
    """How rows of int8 are multiplied with int16; the value is how reports name it."""

    VPDPBUSD_512 = "vpdpbusd, 512 bits"
    VPDPBUSD_256 = "vpdpbusd, 256 bits"
    SDOT = "sdot, 128 bits"
    PAIRS = "multiply-add of 16-bit pairs"


def target() -> tuple[str, str, str]:
    """Return the triple, processor and features that Numba compiles for: not always the host's own."""
    import numba

    triple = binding.get_process_triple()
    name = numba.config.CPU_NAME or binding.get_host_cpu_name()
    if numba.config.CPU_FEATURES is not None:
        return triple, name, numba.config.CPU_FEATURES
    return triple, name, binding.get_host_cpu_features().flatten()


def on_arm() -> bool:
    return target()[0].startswith(("aarch64", "arm64"))


def dot() -> Dot:
    """Return the best form for the target."""
    return _dot(*target())


@cache
def _dot(triple: str, processor: str, features: str) -> Dot:
    assembly = _assembly_of_a_dot_product(triple, processor, features, activations_signed=on_arm())
    if "vpdpbusd" in assembly:
        return Dot.VPDPBUSD_512 if "zmm" in assembly else Dot.VPDPBUSD_256
    return Dot.SDOT if "sdot" in assembly else Dot.PAIRS


def _assembly_of_a_dot_product(
    triple: str, processor: str, features: str, *, activations_signed: bool
) -> str:
    module = ir.Module("dot")
    module.triple = triple
    narrow, wide = ir.VectorType(ir.IntType(8), _BYTES), ir.VectorType(ir.IntType(32), _BYTES)
    kind = ir.FunctionType(wide.element, [narrow.as_pointer(), narrow.as_pointer()])
    function = ir.Function(module, kind, "dot")
    build = ir.IRBuilder(function.append_basic_block())
    activations, weights = (build.load(argument, align=1) for argument in function.args)
    widened = (build.sext if activations_signed else build.zext)(activations, wide)
    products = build.mul(widened, build.sext(weights, wide))
    total = ir.Function(module, ir.FunctionType(wide.element, [wide]), f"llvm.vector.reduce.add.v{_BYTES}i32")
    build.ret(build.call(total, [products]))
    machine = binding.Target.from_triple(triple).create_target_machine(processor, features, opt=2)
    assembly: str = machine.emit_assembly(binding.parse_assembly(str(module)))
    return assembly


def gathers_fast() -> bool:
    """Say whether a gather beats one load for each lane: on Intel's AVX-512; AMD's takes twice as long."""
    _, processor, _ = target()
    return _has_512_bits(*target()) and not processor.startswith("znver")


def byte_tables_fast() -> bool:
    """Say whether picking bytes from registers (`vpermi2b`) beats loading entries: on AMD's AVX-512."""
    return target()[1].startswith("znver") and _has_512_bits(*target())


@cache
def _has_512_bits(triple: str, processor: str, features: str) -> bool:
    return "zmm" in _assembly_of_a_dot_product(triple, processor, features, activations_signed=False)
