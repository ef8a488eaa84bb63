"""The documentation names what exists, and only that."""

import argparse
import importlib
import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from edgelstm import cli, config, schemas, topic_filters
from edgelstm.daemon.topics import Topics

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
TEXT = "\n".join(page.read_text() for page in PAGES)


def options(verb):
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(cli.VERBS[verb].module(verb)).configure(parser)
    for action in parser._actions:
        yield from (option for option in action.option_strings if option.startswith("--"))


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_and_option_is_documented(verb):
    assert f"edgelstm {verb}" in TEXT
    missing = [option for option in options(verb) if not re.search(rf"{option}(?![\w-])", TEXT)]
    assert not missing


def test_every_extra_that_is_named_can_be_installed():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    folders = ("edgelstm", "converters", "firmware_sim")
    source = "\n".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))
    named = {
        name for found in re.findall(r"edgelstm\[([\w,]+)\]", source + TEXT) for name in found.split(",")
    }
    assert named <= set(extras)
    assert all(
        any(part.startswith(f"{needed}>") for part in extras["graph"])
        for needed in ("torch", "onnx", "onnxscript")
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_configuration_key_is_documented():
    text = (ROOT / "docs" / "daemon.md").read_text()
    for section in msgspec.structs.fields(config.Config):
        kind = section.type
        kind = (
            kind
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
            else getattr(kind, "__args__", [None])[0]
        )
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            for field in msgspec.structs.fields(kind):
                assert f"`{section.name}.{field.name}`" in text, f"{section.name}.{field.name}"


def test_every_counter_is_documented():
    source = "\n".join(path.read_text() for path in (ROOT / "edgelstm" / "daemon").glob("*.py"))
    names = set(re.findall(r'(?:add|complain)\(\s*"(\w+)"', source))
    text = (ROOT / "docs" / "daemon.md").read_text()
    names |= set(re.findall(r'return "(\w+)"  # counted', source))
    assert len(names) > 10
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_the_sample_configuration_is_accepted():
    sample = config.load(ROOT / "edgelstm" / "gateway.toml", {})
    assert Path(sample.model[0].path).exists()
    shown = re.search(r"```toml\n(.*?)```", (ROOT / "docs" / "quickstart.md").read_text(), re.DOTALL)[1]
    assert tomllib.loads(shown)["input"][0]["topics"] == ["plant/+/telemetry"]


def test_every_make_target_that_is_mentioned_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)`?", (ROOT / "README.md").read_text())) - {"demo"} <= targets


def test_the_node_red_flow_is_wired_to_what_we_publish():
    nodes = {node["id"]: node for node in json.loads((ROOT / "examples" / "node-red.json").read_text())}
    targets = [target for node in nodes.values() for wire in node.get("wires", ()) for target in wire]
    assert len(targets) >= 4 and set(targets) <= set(nodes)
    (source,) = [node for node in nodes.values() if node["type"] == "mqtt in"]
    assert topic_filters.filters_overlap(source["topic"], Topics("edgelstm", "gw").stream("pump1", "alert"))
    fields = set(re.findall(r"payload\.(\w+)", json.dumps(list(nodes.values())))) - {"func"}
    assert fields <= set(schemas.PAYLOADS["alert"]["properties"])


def test_every_kind_and_key_of_an_architecture_file_is_documented():
    """And the examples are accepted as they stand."""
    from typing import get_args

    from edgelstm_converters.readers import architecture

    text = (ROOT / "docs" / "convert.md").read_text()
    page = text[text.index("## Plain arrays") : text.index("## Options")]
    words = set(re.findall(r"\w+", page))
    for entry in get_args(architecture.Entry):
        assert entry.__struct_config__.tag in words
        assert set(entry.__struct_fields__) - words == set()
    examples = [block for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[[layers]]" in block]
    assert len(examples) == 4
    for block in examples:
        msgspec.toml.decode(block, type=architecture.Architecture)
