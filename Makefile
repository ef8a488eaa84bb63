# make demo   see it work, in about a minute: broker, two pumps, daemon, a fault and the alert
# make test   trust the install: the tests that need no PyTorch
#
# Each makes its own .venv and installs what it needs. PYTHON chooses the interpreter (3.11 to 3.14).

PYTHON ?= python3
TORCH_INSTALL_ARGS ?= torch
VENV := .venv
RUN := $(VENV)/bin/python
JOBS ?= 2

.PHONY: demo test test-all test-rest check check-only deb fuzz format clean

demo: $(VENV)/.demo
	@$(RUN) -m edgelstm demo

test: $(VENV)/.test
	$(RUN) -m pytest -n $(JOBS) -m "not torch and not slow and not engines"

test-all: test test-rest

test-rest: $(VENV)/.test $(VENV)/.torch $(VENV)/.mcu
	$(RUN) -m pytest -n $(JOBS) -m "torch or slow or engines"

check: check-only test

check-only: $(VENV)/.check
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

deb: $(VENV)/bin/python
	$(RUN) packaging/deb.py

# every fuzz target for SECONDS, one after the other: make fuzz SECONDS=600
SECONDS ?= 60
fuzz: $(VENV)/.test
	@$(call install,-e ".[fuzz]")
	@for target in $$($(RUN) tests/fuzz/fuzz.py); do \
	    echo "== $$target"; $(RUN) tests/fuzz/fuzz.py $$target -max_total_time=$(SECONDS) || exit 1; done

format: $(VENV)/.check
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null || { \
	    echo "edgelstm: $(PYTHON) is not Python 3.11 to 3.14: install one (Debian, Ubuntu: apt install python3) or say make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "edgelstm: $(PYTHON) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

# $(call install,WHAT TO INSTALL)
install = $(RUN) -m pip install --quiet --disable-pip-version-check $(1) || { \
    echo "edgelstm: pip could not install: $(1) (its own message is above); is a package index reachable, and does it have wheels for this machine?" >&2; exit 1; }

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@echo "installing edgelstm ..."
	@if command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ]; then what=.; else what='.[demo]'; fi; \
	    $(call install,-e "$$what")
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	@echo "installing edgelstm and its test tools ..."
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || \
	    echo "edgelstm: no mosquitto here, so the tests on a real broker are skipped (Debian, Ubuntu: apt install mosquitto)" >&2
	@$(call install,-e ".[demo$(comma)test]" ziglang==0.17.1 unicorn==2.1.4 pyelftools)
	@touch $@

$(VENV)/.torch: | $(VENV)/.test
	@echo "installing PyTorch, Keras and LiteRT ..."
	@$(call install,$(TORCH_INSTALL_ARGS) onnxscript keras ai-edge-litert)
	@$(call install,--no-deps silero-vad g2p-en)
	@touch $@

$(VENV)/.mcu: pyproject.toml | $(VENV)/.test
	@echo "installing zig and an emulator of microcontrollers ..."
	@$(call install,-e ".[mcu]")
	@touch $@

$(VENV)/.check: pyproject.toml | $(VENV)/bin/python
	@$(call install,-e ".[check]")
	@touch $@

comma := ,
