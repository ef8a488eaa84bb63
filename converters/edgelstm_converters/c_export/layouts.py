"""The folder that exported C goes into: plain with a CMake target, an Arduino library, or a Zephyr module."""

from __future__ import annotations

from edgelstm.stream import LoadedModel

LAYOUTS = ("plain", "arduino", "zephyr")


def places(layout: str) -> str:
    """Return the folder of the sources inside that of the export, "" for the same."""
    return {"plain": "", "arduino": "src", "zephyr": "src"}[layout]


def files_of(layout: str, loaded: LoadedModel, name: str) -> dict[str, str]:
    """Return the files of a layout beside the sources: their paths and texts."""
    return {"plain": _plain, "arduino": _arduino, "zephyr": _zephyr}[layout](loaded, name)


def _plain(loaded: LoadedModel, name: str) -> dict[str, str]:
    del loaded
    return {
        "CMakeLists.txt": f"""# add_subdirectory({name}) and target_link_libraries(... {name})
add_library({name} STATIC {name}.c)
target_include_directories({name} PUBLIC ${{CMAKE_CURRENT_LIST_DIR}})
set_property(TARGET {name} PROPERTY C_STANDARD 99)
"""
    }


def _arduino(loaded: LoadedModel, name: str) -> dict[str, str]:
    upper = name.upper()
    return {
        "library.properties": f"""name={name}
version=1.0.0
author=edgelstm
maintainer=edgelstm
sentence=The model "{_line(loaded.model.name)}" {loaded.digest[:12]}, int8, stepped once per sample.
paragraph={len(loaded.channel_names)} inputs, {len(loaded.output_names)} outputs; no heap, no library.
category=Data Processing
url=
architectures=*
includes={name}.h
""",
        "examples/step/step.ino": f"""#include <{name}.h>

static {name}_state state;

void setup() {{
  Serial.begin(115200);
  {name}_reset(&state);
}}

void loop() {{
  float x[{upper}_INPUTS] = {{ 0 }};  // fill in from the sensors: see {name}.h for their order
  float y[{upper}_OUTPUTS];
  if ({name}_step(&state, x, y) == 0) Serial.println(y[0]);
}}
""",
    }


def _zephyr(loaded: LoadedModel, name: str) -> dict[str, str]:
    upper = name.upper()
    return {
        "zephyr/module.yml": f"name: {name}\nbuild:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig\n",
        "zephyr/Kconfig": f"""config {upper}
	bool "The model {_line(loaded.model.name)} {loaded.digest[:12]}"
	default y
""",
        "zephyr/CMakeLists.txt": f"""if(CONFIG_{upper})
  zephyr_library_named({name})
  zephyr_library_sources(../src/{name}.c)
  zephyr_include_directories(../src)
endif()
""",
    }


def _line(text: str) -> str:
    return " ".join(text.replace('"', "'").split())
