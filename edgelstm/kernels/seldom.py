"""Operations that few programs use, each compiled on its own when the first program that has it is bound.

Machine code of the entries finds them through a table of addresses, so it neither contains nor awaits them: a daemon that
runs an LSTM compiles no attention.
"""

import ctypes
from importlib import import_module

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from edgelstm.kernels.compiled import importing, njit
from edgelstm.reference.operations import SELDOM

_WORDS = types.int32[::1]
SIGNATURE = types.void(_WORDS, _WORDS, _WORDS, _WORDS)
"""Of every seldom operation: its words, program, state and scratch."""

_KINDS = 256
_NAME = "edgelstm.seldom_operations"
_addresses = (ctypes.c_int64 * _KINDS)()
binding.add_symbol(_NAME, ctypes.addressof(_addresses))


def seldom(function):
    """Compile a seldom operation."""
    return njit(SIGNATURE)(function)


def prepare(kinds):
    """Compile, or load, those of the operations `kinds` that are seldom and not there yet."""
    for kind in kinds & SELDOM.keys():
        if not _addresses[kind]:
            module, name = SELDOM[kind]
            with importing():
                function = getattr(import_module(f"edgelstm.kernels.{module}"), name)
            (compiled,) = function.overloads.values()
            _addresses[kind] = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@intrinsic
def run_seldom(typing_context, kind, of, program, state, scratch):
    """Call the operation `kind` with its words, program, state and scratch, each int32 (any,)."""
    return types.void(types.int64, _WORDS, _WORDS, _WORDS, _WORDS), _emit_call


def _emit_call(context, builder, signature, arguments):
    kinds = signature.args[1:]
    table_type = ir.ArrayType(ir.IntType(64), _KINDS)
    table = builder.module.globals.get(_NAME) or ir.GlobalVariable(builder.module, table_type, _NAME)
    address = builder.load(builder.gep(table, [ir.Constant(ir.IntType(64), 0), arguments[0]]))
    function_type = context.call_conv.get_function_type(types.void, kinds)
    function = builder.inttoptr(address, function_type.as_pointer())
    context.call_conv.call_function(builder, function, types.void, kinds, arguments[1:])
    return context.get_dummy_value()
