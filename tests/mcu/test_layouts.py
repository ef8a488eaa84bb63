"""The folders that exported C goes into: their shape, and what Arduino, Zephyr and CMake make of them."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys

import pytest

from c_code import COMPILER
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import export
from factories import random_model

cmake = pytest.mark.skipif(
    not (shutil.which("cmake") and COMPILER), reason="no cmake (apt install cmake): no project is configured"
)

FILES = {
    "plain": {"CMakeLists.txt"},
    "arduino": {"library.properties", "examples/step/step.ino"},
    "zephyr": {"zephyr/module.yml", "zephyr/Kconfig", "zephyr/CMakeLists.txt"},
}

MAIN = "int m_selftest(void); int main(void) { return m_selftest() != 0; }\n"

PLAIN_PROJECT = """cmake_minimum_required(VERSION 3.16)
project(app C)
add_subdirectory(m)
add_executable(app main.c m/m_selftest.c)
target_link_libraries(app m)
"""

ZEPHYR_PROJECT = """# stands in for what Zephyr's own build provides
cmake_minimum_required(VERSION 3.16)
project(app C)
function(zephyr_library_named name)
  add_library(${name} STATIC)
  set(library ${name} PARENT_SCOPE)
endfunction()
function(zephyr_library_sources)
  target_sources(${library} PRIVATE ${ARGV})
endfunction()
function(zephyr_include_directories)
  target_include_directories(${library} PUBLIC ${ARGV})
endfunction()
set(CONFIG_M y)
add_subdirectory(m/zephyr)
add_executable(app main.c m/src/m_selftest.c)
target_link_libraries(app m)
"""

ARDUINO_H = """#include <stdint.h>
struct Line { void begin(long); void println(double); };
inline void Line::begin(long) {}
inline void Line::println(double) {}
static Line Serial;
void setup();
void loop();
"""


def exported(folder, layout):
    loaded = LoadedModel(random_model(1, 3, [("lstm", 4), ("gru", 3)]))
    return loaded, export(loaded, folder, "m", layout=layout)


@pytest.mark.parametrize("layout", FILES)
def test_the_shape_of_the_folder(layout, tmp_path):
    loaded, made = exported(tmp_path, layout)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    source = {"plain": "", "arduino": "src/", "zephyr": "src/"}[layout]
    own = {f"{source}{name}" for name in ("m.h", "m.c", "m_selftest.c", "MANIFEST.json")}
    assert files == own | FILES[layout]
    manifest = json.loads((made.folder / "MANIFEST.json").read_text())
    assert manifest["digest"] == loaded.digest and manifest["state_bytes"] == 4 * 4 + 4 * 2 + 3 * 4 + 4 * 2


def built_and_run(folder, project):
    (folder / "main.c").write_text(MAIN)
    (folder / "CMakeLists.txt").write_text(project)
    for command in (
        ["cmake", "-S", ".", "-B", "build", f"-DCMAKE_C_COMPILER={COMPILER}"],
        ["cmake", "--build", "build"],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    subprocess.run([str(folder / "build" / "app")], check=True)


@cmake
def test_a_cmake_project_takes_it_in(tmp_path):
    exported(tmp_path / "m", "plain")
    built_and_run(tmp_path, PLAIN_PROJECT)


@cmake
def test_zephyr_takes_it_in_as_a_module(tmp_path):
    exported(tmp_path / "m", "zephyr")
    module = (tmp_path / "m" / "zephyr" / "module.yml").read_text()
    assert module == "name: m\nbuild:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig\n"
    kconfig = (tmp_path / "m" / "zephyr" / "Kconfig").read_text()
    assert re.match(r'config M\n\tbool "[^"\n]+"\n\tdefault y\n$', kconfig)
    built_and_run(tmp_path, ZEPHYR_PROJECT)


def arm_compilers():
    """Return the commands of a C and of a C++ compiler for a Cortex-M4 without an operating system."""
    if shutil.which("arm-none-eabi-g++"):
        options = ["-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-nostdlib"]
        return [["arm-none-eabi-gcc", *options], ["arm-none-eabi-g++", *options, "-fno-exceptions"]]
    if importlib.util.find_spec("ziglang"):
        options = ["-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4", "-fno-sanitize=all"]
        return [[sys.executable, "-m", "ziglang", kind, *options] for kind in ("cc", "c++")]
    pytest.skip(
        "no arm-none-eabi-g++ (apt install gcc-arm-none-eabi) and no zig: nothing is built as Arduino does"
    )


def test_arduino_takes_it_in_as_a_library(tmp_path):
    """Its C in GNU C as an Arduino core compiles it, and as C++; the sketch that includes it; both linked."""
    exported(tmp_path, "arduino")
    properties = (tmp_path / "library.properties").read_text()
    fields = dict(line.split("=", 1) for line in properties.splitlines())
    assert fields["name"] == "m" and fields["includes"] == "m.h" and fields["architectures"] == "*"
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"]) and fields["category"] == "Data Processing"
    (tmp_path / "Arduino.h").write_text(ARDUINO_H)
    (tmp_path / "main.cpp").write_text(
        'void setup();\nvoid loop();\nextern "C" void reset() { setup(); for (;;) loop(); }\n'
    )
    cc, cxx = arm_compilers()
    common = ["-Os", "-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-Isrc", "-I."]
    sketch = ["-x", "c++", "-include", "Arduino.h", "examples/step/step.ino"]
    for command in (
        [*cc, "-std=gnu11", *common, "-c", "src/m.c", "-o", "m.o"],
        [*cxx, "-std=gnu++17", *common, "-c", "-x", "c++", "src/m.c", "-o", "as_cpp.o"],
        [*cxx, "-std=gnu++17", *common, "-c", *sketch, "-o", "step.o"],
        [
            *cxx,
            *common,
            "main.cpp",
            "step.o",
            "m.o",
            *(["-lgcc"] if "gcc" in cc[0] else []),
            "-Wl,-e,reset",
            "-o",
            "app.elf",
        ],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "app.elf").stat().st_size > 1000
