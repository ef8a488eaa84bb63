"""Operations, each compiled on its own, and a table of their addresses through which the entries call them.

Machine code of the entries so neither contains nor awaits them. The usual ones are compiled with the entries; of the others each
when the first program that has it is bound: a daemon that runs an LSTM compiles no attention.
"""

import ctypes
from importlib import import_module
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from edgelstm.kernels.compiled import importing, njit
from edgelstm.reference.operations import SELDOM

_WORDS = types.int32[::1]
SIGNATURE = types.void(_WORDS, _WORDS, _WORDS, _WORDS)
"""Of every seldom operation: its words, program, state and scratch."""

USUAL_SIGNATURE = types.void(types.int64, types.int64)
"""Of every usual operation: the addresses of its words and of the context."""

KINDS = 256
TABLE = "edgelstm.operations"
USUAL: dict[int, Any] = {}
"""The usual operations by kind."""

_addresses = (ctypes.c_int64 * KINDS)()
binding.add_symbol(TABLE, ctypes.addressof(_addresses))


def seldom(function):
    """Compile a seldom operation."""
    return njit(SIGNATURE)(function)


def usual(kind):
    """Compile a usual operation, and put it in the table."""

    def compiled(function):
        USUAL[kind] = njit(USUAL_SIGNATURE)(function)
        _enter(kind, USUAL[kind])
        return USUAL[kind]

    return compiled


def _enter(kind, function):
    (compiled,) = function.overloads.values()
    _addresses[kind] = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


def prepare(kinds):
    """Compile, or load, those of the operations `kinds` that are seldom and not there yet."""
    for kind in kinds & SELDOM.keys():
        if not _addresses[kind]:
            module, name = SELDOM[kind]
            with importing():
                function = getattr(import_module(f"edgelstm.kernels.{module}"), name)
            _enter(kind, function)


@intrinsic
def run_usual(typing_context, kind, of, context):
    """Call the usual operation `kind` with the addresses of its words and of the context."""
    return types.void(types.int64, types.int64, types.int64), _emit_call


@intrinsic
def run_seldom(typing_context, kind, of, program, state, scratch):
    """Call the seldom operation `kind` with its words, program, state and scratch, each int32 (any,)."""
    return types.void(types.int64, _WORDS, _WORDS, _WORDS, _WORDS), _emit_call


def _emit_call(context, builder, signature, arguments):
    kinds = signature.args[1:]
    table_type = ir.ArrayType(ir.IntType(64), KINDS)
    table = builder.module.globals.get(TABLE) or ir.GlobalVariable(builder.module, table_type, TABLE)
    address = builder.load(builder.gep(table, [ir.Constant(ir.IntType(64), 0), arguments[0]]))
    function_type = context.call_conv.get_function_type(types.void, kinds)
    function = builder.inttoptr(address, function_type.as_pointer())
    context.call_conv.call_function(builder, function, types.void, kinds, arguments[1:])
    return context.get_dummy_value()
