# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# The front door. It only calls Meson and the scripts in tools/; everything real happens there.
#
# Variables:
#   BUILD=DIR          build folder (default: build)
#   WERROR=1           warnings are errors, as in CI
#   FUZZ_SECONDS=N     time for each fuzzer of `make fuzz` (default: 60)
#   PREFIX, DESTDIR    for `make install`

BUILD ?= build
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
WERROR ?= 0
PYTHON ?= python3

meson_options = --prefix $(PREFIX) $(if $(filter 1,$(WERROR)),--werror)
c_files = $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h' | \
	while read -r f; do [ -e "$$f" ] && echo "$$f"; done)

.PHONY: all help demo test test-all test-sanitize fuzz bench lint format docs install clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet
	@echo "$(BUILD)/gosonde is ready"

help:
	@echo 'make                build $(BUILD)/gosonde'
	@echo 'make demo           start the demo service with two troubles, dump it, show the result'
	@echo 'make test           all tests that fit a quarter of an hour; ends with "N passed, N failed"'
	@echo 'make test-all       also every Go release in every link mode, and large programs from source'
	@echo 'make test-sanitize  unit tests and fuzz samples under ASan and UBSan'
	@echo 'make fuzz           run every fuzzer for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make bench          figures beside their goals and peers'
	@echo 'make lint           format, layers, sizes, headers, documents'
	@echo 'make format         clang-format all C files'
	@echo 'make docs           manual pages into $(BUILD)/man'
	@echo 'make install        into PREFIX=$(PREFIX)'
	@echo 'make clean          remove build folders'

# install_deps returns at once when everything is there.
$(BUILD)/build.ninja: meson_options.txt
	@tools/install_deps build
	@if [ -e $@ ]; then meson setup --reconfigure $(BUILD) $(meson_options); \
	 else meson setup $(BUILD) $(meson_options); fi

# The tests' Go is on PATH from here on, and Meson looks for it once more: it decides which tests there are.
with_go = PATH="$$(dirname "$$(tools/go_toolchain host)"):$$PATH"

$(BUILD)/.test-ready: tools/install_deps
	@tools/install_deps test
	@if [ -e $(BUILD)/build.ninja ]; then $(with_go) meson setup --reconfigure $(BUILD) $(meson_options); \
	 else $(with_go) meson setup $(BUILD) $(meson_options); fi
	@touch $@

demo: all
	@tools/demo $(BUILD)

test: $(BUILD)/.test-ready
	@ninja -C $(BUILD) --quiet
	@$(with_go) $(PYTHON) tools/run_tests -C $(BUILD) --no-suite all

test-all: $(BUILD)/.test-ready
	@tools/install_deps all
	@ninja -C $(BUILD) --quiet
	@$(with_go) $(PYTHON) tools/run_tests -C $(BUILD)

test-sanitize:
	@tools/install_deps test
	@[ -e $(BUILD)-sanitize/build.ninja ] || $(with_go) meson setup $(BUILD)-sanitize --werror \
		-Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C $(BUILD)-sanitize --quiet
	@$(with_go) $(PYTHON) tools/run_tests -C $(BUILD)-sanitize --no-suite live --no-suite all

fuzz:
	@tools/install_deps test
	@tools/run_fuzzers $(BUILD)-fuzz $(FUZZ_SECONDS)

bench: all
	@tools/install_deps test
	@$(PYTHON) bench/bench.py --gosonde $(BUILD)/gosonde

lint:
	@tools/install_deps lint
	@status=0; \
	if clang-format --style=file --dry-run -Werror $(c_files); then echo 'format: ok'; \
	else echo 'format: run make format'; status=1; fi; \
	for check in layers size headers docs; do $(PYTHON) tools/check_$$check || status=1; done; \
	exit $$status

format:
	@tools/install_deps lint
	@clang-format --style=file -i $(c_files)

docs: all
	@tools/make_man $(BUILD)/gosonde $(BUILD)/man

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) $(BUILD)-sanitize $(BUILD)-fuzz
