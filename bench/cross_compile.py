"""The compiled step for another processor, as a program that needs nothing but a kernel: to inspect, to emulate, to count.

    python bench/cross_compile.py TRIPLE PROCESSOR FOLDER < program.npz

Numba lowers the same kernel sources; what it would now turn into code for this machine is taken away from it, given the
other machine's triple, optimised, and emitted as assembly. Linked, it begins at `_start`: it steps the program over the samples that it was built
with, writes the outputs to standard output and exits. `build` does all of it in a
child process, because what is patched here cannot be undone.
"""

import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ARM = "aarch64-unknown-linux-gnu"
_START = {
    "aarch64": """
	.globl _start
_start:
	bl run
	add x19, x0, #1
	mov x8, #64
	mov x0, #1
	adrp x1, y
	add x1, x1, :lo12:y
	ldr x2, ={y_bytes}
	svc #0
	mov x8, #93
	mov x0, x19
	svc #0
memset:
	mov x3, x0
1:	cbz x2, 2f
	strb w1, [x3], #1
	sub x2, x2, #1
	b 1b
2:	ret
memcpy:
	mov x3, x0
1:	cbz x2, 2f
	ldrb w4, [x1], #1
	strb w4, [x3], #1
	sub x2, x2, #1
	b 1b
2:	ret
""",
    "x86_64": """
	.globl _start
_start:
	and $-64, %rsp
	call run
	leaq 1(%rax), %rbx
	movl $1, %eax
	movl $1, %edi
	leaq y(%rip), %rsi
	movl ${y_bytes}, %edx
	syscall
	movl $60, %eax
	movl %ebx, %edi
	syscall
memset:
	movq %rdi, %r8
	movl %esi, %eax
	movq %rdx, %rcx
	rep stosb
	movq %r8, %rax
	ret
memcpy:
	movq %rdi, %rax
	movq %rdx, %rcx
	rep movsb
	ret
""",
}
"""Runs, writes y to standard output, exits with 0 if `run` returned DONE, which is -1; beside it what compilers call."""


@dataclass(frozen=True, slots=True)
class Built:
    """Assembly of a program that steps, the folder that it is in, and what its assembler is to be told."""

    assembly: str
    folder: Path
    options: tuple[str, ...]

    def link(self, tools: str) -> Path:
        """Assemble and link; `tools` is how the names of binutils begin, such as aarch64-linux-gnu-."""
        source, made, target = (self.folder / name for name in ("step.s", "step.o", "step"))
        subprocess.run([f"{tools}as", *self.options, "-o", str(made), str(source)], check=True)
        subprocess.run([f"{tools}ld", "-static", "-o", str(target), str(made)], check=True)
        return target


def build(program, x, triple: str, processor: str, folder: Path) -> Built:
    """Compile `program` (an `edgelstm.program.Program`) with the samples `x`, float32 (samples, inputs), into `folder`."""
    archive = io.BytesIO()
    sizes = np.array([program.state_words, program.scratch_words, program.outputs])
    np.savez(archive, words=program.words, sizes=sizes, x=np.ascontiguousarray(x, np.float32))
    command = [sys.executable, __file__, triple, processor, str(folder)]
    done = subprocess.run(command, input=archive.getvalue(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    options = (f"-mcpu={processor}",) if triple == ARM else ()
    return Built((folder / "step.s").read_text(), folder, options)


def _kinds(words) -> set[int]:
    """Return the kinds of the operations of a program."""
    from edgelstm.reference import operations as op

    table = words[op.FIRST_OPERATION :][: words[op.OPERATION_COUNT] * op.OPERATION_WORDS]
    return {int(kind) for kind in table[:: op.OPERATION_WORDS]}


def _lower(triple: str, processor: str, words):
    """Let Numba lower the entry, the usual operations and the seldom ones of a program for another target.

    Return the LLVM texts, the name of the entry, and those of the operations by kind.
    """
    import importlib.util
    import os

    os.environ["NUMBA_OPT"] = "0"
    os.environ["EDGELSTM_CACHE_DIR"] = os.devnull  # no directory: nothing of this is to be kept
    from llvmlite import binding
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.cpu import CPUContext

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    # code for this machine is never made, which lacks the instructions; what stands for it only has to be some built-in
    CPUContext.get_executable = lambda *_: [].append
    JITCodeLibrary._finalize_specific = lambda self: None
    JITCodeLibrary.get_pointer_to_function = lambda *_: 0
    name = "edgelstm.kernels.instructions"  # before its package is imported, which compiles
    source = Path(__file__).parents[1] / "edgelstm" / "kernels" / "instructions.py"
    specification = importlib.util.spec_from_file_location(name, source)
    instructions = sys.modules[name] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(instructions)
    instructions.target = lambda: (triple, processor, "")
    from edgelstm.kernels import seldom, step
    from edgelstm.reference.operations import SELDOM

    def lowered(function):
        (done,) = function.overloads.values()
        if not done.library._finalized:  # of what others call it is done
            with global_compiler_lock:
                done.library.finalize()
        return done.library.get_llvm_str(), done.fndesc.llvm_func_name

    entry_text, entry = lowered(step.execute)
    operations = dict(seldom.USUAL)
    for kind in _kinds(words) & SELDOM.keys():
        of_kernels, function = SELDOM[kind]
        operations[kind] = getattr(importlib.import_module(f"edgelstm.kernels.{of_kernels}"), function)
    found = {kind: lowered(function) for kind, function in operations.items()}
    texts = [entry_text, *(text for text, _ in found.values())]
    return texts, entry, {kind: name for kind, (_, name) in found.items()}


def _driver(entry: str, operations: dict[int, str], triple: str, words, sizes, x) -> str:
    """Return the text of a module with `run`: binds the arrays, calls the entry, returns its code."""
    from llvmlite import ir

    from edgelstm.kernels import context, seldom
    from edgelstm.reference import operations as op

    int32, int64 = ir.IntType(32), ir.IntType(64)
    pointer = int64.as_pointer()
    module = ir.Module("driver")
    module.triple = triple
    state_words, scratch_words, outputs = (int(size) for size in sizes)

    def array(name, kind, values):
        content = ir.Constant(ir.ArrayType(kind, len(values)), values)
        place = ir.GlobalVariable(module, content.type, name)
        place.initializer, place.align, place.linkage = content, 64, "internal"
        return place

    places = {
        "program": array("program", int32, words.tolist()),
        "state": array("state", int32, [0] * state_words),
        "scratch": array("scratch", int32, [0] * scratch_words),
        "x": array("x", int32, x.view(np.int32).ravel().tolist()),
        "y": array("y", int32, [0] * (outputs * len(x))),
        "counts": array("counts", int64, [0]),
        "context": array("context", int64, [0] * context.CONTEXT_WORDS),
    }
    called = ir.FunctionType(int32, [pointer, pointer, int64, int64])
    table = [int64(0)] * seldom.KINDS
    for kind, name in operations.items():
        table[kind] = ir.Function(module, called, name).ptrtoint(int64)
    array(seldom.TABLE, int64, table).linkage = places["y"].linkage = ""  # external
    run = ir.Function(module, ir.FunctionType(int64, []), "run")
    build = ir.IRBuilder(run.append_basic_block())
    at = {name: build.ptrtoint(place, int64) for name, place in places.items()}
    bound = {
        context.PROGRAM: at["program"],
        context.SCRATCH: at["scratch"],
        context.STATES: at["state"],
        context.STATE_BYTES: 4 * state_words,
        context.SCRATCH_BYTES: 4 * scratch_words,
        context.INPUTS: words[op.INPUTS],
        context.OUTPUTS: outputs,
        context.STREAMS: 1,
        context.MOST_ROWS: 1,
        context.COUNTS: at["counts"],
    }
    for number, value in bound.items():
        slot = build.gep(places["context"], [int64(0), int64(number)])
        build.store(value if isinstance(value, ir.Value) else int64(int(value)), slot)
    execute = ir.Function(module, ir.FunctionType(int32, [pointer, pointer, *[int64] * 4]), entry)
    code, unused = build.alloca(int64), build.alloca(int64)
    build.call(execute, [code, unused, at["context"], at["x"], at["y"], int64(len(x))])
    build.ret(build.load(code))
    return str(module)


def _emit(texts: list[str], triple: str, processor: str) -> str:
    """Return the assembly of several modules in one; the last one is the driver."""
    from llvmlite import binding

    target = binding.Target.from_triple(triple).create_target_machine(
        processor, "", opt=3, reloc="static", codemodel="small"
    )
    module, *others = (binding.parse_assembly(text) for text in texts)
    for each in (module, *others):
        each.triple, each.data_layout = triple, str(target.target_data)
    for other in others:
        module.link_in(other)
    for function in module.functions:
        if not function.is_declaration and function.name != "run":
            function.linkage = "internal"
    for options in (binding.create_pipeline_tuning_options(speed_level=3),):
        options.loop_vectorization = options.slp_vectorization = True
        builder = binding.create_pass_builder(target, options)
        first = binding.create_new_module_pass_manager()
        first.add_always_inliner_pass()
        first.add_global_dead_code_eliminate_pass()
        first.run(module, builder)
        passes = builder.getModulePassManager()
        passes.run(module, builder)
    return target.emit_assembly(module)


def main() -> None:
    triple, processor, folder = sys.argv[1:]
    with np.load(io.BytesIO(sys.stdin.buffer.read())) as given:
        words, sizes, x = given["words"], given["sizes"], given["x"]
    texts, entry, operations = _lower(triple, processor, words)
    assembly = _emit([*texts, _driver(entry, operations, triple, words, sizes, x)], triple, processor)
    start = _START[triple.split("-")[0]].format(y_bytes=4 * int(sizes[2]) * len(x))
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "step.s").write_text(assembly + "\t.text" + start)


if __name__ == "__main__":
    main()
