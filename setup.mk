# clockscope: set-up, build, tests. `make -f setup.mk help` lists the targets.
#
# Everything built or downloaded lies in build/, but for the extension, which lies in its package.
# A new .c file needs no edit here: the core, the binding, the tests and the fuzz targets are found
# by wildcard.

SELF := $(lastword $(MAKEFILE_LIST))
PYTHON := /usr/bin/python3
BUILD := build
GUESTS := build/guests
FUZZ_SECONDS ?= 3600
# The versions that the project is formatted, and looked at, with.
CLANG_FORMAT := 14
BLACK := 23.1.0
# `make V=1` shows the commands themselves.
Q := $(if $(V),,@)

# What is needed to build and to show the demo, and what the tests and the developers need beside it.
PACKAGES := gcc libc6-dev python3-dev libcapstone-dev libexpat1-dev libsqlite3-dev libelf-dev libdw-dev \
	gdb qemu-system-x86 cpio debian-archive-keyring graphviz python3-jsonschema python3-jinja2 python3-sqlalchemy
# The page's program is bundled by npm's esbuild. A npm that did not come from Debian conflicts with Debian's.
PAGE_PACKAGES := $(if $(shell command -v npm 2>/dev/null),,nodejs npm)
TEST_PACKAGES := $(PACKAGES) $(PAGE_PACKAGES) clang libclang-rt-dev clang-format clang-tidy shellcheck black \
	python3-mypy flake8 python3-protobuf protobuf-compiler python3-pytest python3-pytest-xdist python3-hypothesis \
	libcmocka-dev postgresql python3-psycopg2 gdbserver gdb-multiarch busybox-static tmux zsh fish groff-base qemu-user binutils sqlite3 procps chromium zstd

ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
# Continuous integration says WERROR=-Werror; a user's newer compiler may warn of more.
WERROR ?=
WARN := -std=gnu11 -Wall -Wextra -Wswitch-enum -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wvla $(WERROR)
ALL_CFLAGS = $(CFLAGS) $(WARN) -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread -Ic-ext/core -Ic-ext/tests -I$(BUILD)/gen
SANITIZE := -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all -fsanitize=address,undefined
LIBRARIES := expat capstone sqlite3 dw elf
HEADERS := stdio.h expat.h capstone/capstone.h sqlite3.h libelf.h elfutils/libdw.h
LIBS := $(LIBRARIES:%=-l%) -pthread
PY_CFLAGS = -DPy_LIMITED_API=0x030b0000 \
	-I$(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')

CORE_FILES := $(sort $(shell find c-ext/core -name '*.c'))
CORE := $(CORE_FILES:c-ext/%.c=%.o)
PY := $(patsubst c-ext/%.c,%.o,$(wildcard c-ext/py/*.c))
TESTS := $(patsubst c-ext/tests/%.c,$(BUILD)/tests/%,$(wildcard c-ext/tests/*/test_*.c c-ext/tests/*/*/test_*.c))
FUZZERS := $(patsubst c-ext/tests/%.c,$(BUILD)/tests/%,$(wildcard c-ext/tests/fuzz/fuzz_*.c))
EXTENSION := plugin/clockscope/_core.abi3.so

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: help setup packages test-packages build program kinds stubs page page-check build-clang tests fuzzers guests \
	install uninstall deb test-guests more-guests source demo test hosts bench mutation kernels paths peers fuzz lint fmt clean distclean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(SELF) $(MODEL_MK)

# Set-up

setup: test-packages test-guests ## install every package, fetch the guests, build
	@$(MAKE) --no-print-directory -f $(SELF) program

packages:
	@.ci/install-packages $(PACKAGES)

test-packages:
	@.ci/install-packages $(TEST_PACKAGES)

guests: $(GUESTS)/linux-6.1/vmlinux $(GUESTS)/initramfs.gz ## fetch the demo's guest: Debian's Linux 6.1 and an initramfs

test-guests: guests models models-clang $(GUESTS)/linux-6.12/vmlinux $(GUESTS)/xen-4.17/xen $(GUESTS)/xen-4.17/dom0 \
	$(GUESTS)/initramfs-told.gz

# The scripts keep what is there, if it is what guests.lock names.
FORCE:

# From 7.2 on what is in boot is a link to the file.
$(GUESTS)/linux-%/vmlinux: FORCE | packages
	@examples/linux/fetch-file $(notdir $(@D)) '*/vmlinux*' $@

$(GUESTS)/xen-4.17/xen: FORCE | packages
	@examples/linux/fetch-file xen-4.17 '*/boot/xen-*-amd64.gz' $@

$(GUESTS)/busybox/busybox: FORCE | packages
	@examples/linux/fetch-file busybox '*/bin/busybox' $@

# The kernel as Xen's first domain, without what would not fit into the guest's memory.
$(GUESTS)/xen-4.17/dom0: $(GUESTS)/linux-6.1/vmlinux
	@mkdir -p $(@D)
	@strip -o $@ $<

$(GUESTS)/initramfs.gz: examples/linux/make-initramfs examples/linux/init $(GUESTS)/busybox/busybox
	@examples/linux/make-initramfs $(GUESTS)/busybox/busybox $@

# A guest that says by itself what its processor tells it.
$(GUESTS)/linux-6.1/modules/msr.ko: $(GUESTS)/linux-6.1/vmlinux FORCE
	@examples/linux/fetch-modules modules-6.1 $(GUESTS)/linux-6.1/version $(@D)

$(GUESTS)/initramfs-told.gz: examples/linux/make-initramfs examples/linux/init-told $(GUESTS)/busybox/busybox \
		$(GUESTS)/linux-6.1/modules/msr.ko
	@examples/linux/make-initramfs $(GUESTS)/busybox/busybox $@ examples/linux/init-told \
		$(GUESTS)/linux-6.1/modules/cpuid.ko $(GUESTS)/linux-6.1/modules/msr.ko

# What `test` does not fetch: older and newer kernels.
more-guests: $(GUESTS)/linux-5.10/vmlinux $(GUESTS)/linux-7.2/vmlinux

source: $(GUESTS)/linux-6.1/source ## fetch the kernel's source for the demo guest (optional: texts of source lines)

$(GUESTS)/linux-6.1/source: | $(GUESTS)/linux-6.1/vmlinux
	@examples/linux/fetch-source source-6.1 $@

# Small kernels with the clock code of other systems.
MODEL_MK := examples/model/model.mk
include $(MODEL_MK)

# Build

build: packages ## install what that needs, and build the extension, the program build/clockscope, its manual page
	@$(MAKE) --no-print-directory -f $(SELF) program

program: $(EXTENSION) $(BUILD)/libcore.a $(BUILD)/clockscope $(BUILD)/clockscope.1 $(BUILD)/compiled ## the same, without installing anything

build-clang: ## the same with clang, into build/clang
	@$(MAKE) --no-print-directory -f $(SELF) CC=clang BUILD=build/clang EXTENSION=build/clang/_core.abi3.so program

tests: $(TESTS) $(BUILD)/asan/_core.abi3.so

fuzzers: $(FUZZERS)

# Each variant of the objects has a directory of its own: $(1) its name, $(2) its compiler and flags, $(3) those for py/
# beside them, $(4) the header of those. Its stamp tells the compiler, headers and libraries, its list the files.
define objects
$(BUILD)/$(1)/stamp: FORCE
	@PYTHON=$(PYTHON) .ci/stamp $$@ '$(HEADERS) $(4)' '$(LIBRARIES)' $(2) $(3)

$(BUILD)/$(1)/list: FORCE | $(BUILD)/$(1)/stamp
	@echo $(sort $(CORE) $(PY)) >$$@.new
	@cmp -s $$@ $$@.new || mv $$@.new $$@

$(BUILD)/$(1)/%.o: c-ext/%.c $(BUILD)/$(1)/stamp | $(BUILD)/gen/trace_schema.h
	@mkdir -p $$(@D)
	@echo '  CC    $$@'
	$(Q)$(2) $$(if $$(filter py/%,$$*),$(3)) -MMD -MP -c $$< -o $$@

$(BUILD)/$(1)/libcore.a: $(CORE:%=$(BUILD)/$(1)/%) $(BUILD)/$(1)/list
	@echo '  AR    $$@'
	@rm -f $$@
	$(Q)ar rcs $$@ $$(filter %.o,$$^)

-include $(patsubst %.o,$(BUILD)/$(1)/%.d,$(CORE) $(PY)) $(patsubst $(BUILD)/tests/%,$(BUILD)/$(1)/tests/%.d,$(TESTS) $(FUZZERS))
endef

$(eval $(call objects,obj,$$(CC) $$(ALL_CFLAGS),$$(PY_CFLAGS),Python.h))
$(eval $(call objects,asan,$$(CC) $$(ALL_CFLAGS) $$(SANITIZE),$$(PY_CFLAGS),Python.h))
$(eval $(call objects,fuzz,clang $$(ALL_CFLAGS) $$(SANITIZE) -fsanitize=fuzzer-no-link))

# The schema of the trace: its text, that the store executes, and what readers hold rows against.
$(BUILD)/gen/trace_schema.h: .ci/describe_schema.py schemas/trace.sql
	@mkdir -p $(@D)
	@$(PYTHON) $^ >$@

$(BUILD)/libcore.a: $(BUILD)/obj/libcore.a
	@cp $< $@

# Renamed into place: a GDB that has the old one loaded, or loads it this very moment, is not disturbed.
$(EXTENSION): $(PY:%=$(BUILD)/obj/%) $(BUILD)/libcore.a $(BUILD)/obj/list
	@echo '  LINK  $@'
	$(Q)$(CC) $(LDFLAGS) -shared -o $@.new $(filter %.o %.a,$^) $(LIBS)
	@$(PYTHON) -c 'import ctypes; ctypes.PyDLL("$(abspath $@.new)")' # nothing may be unresolved
	@mv $@.new $@
	@.ci/check-gdb $(PYTHON)

# $(1): where plugin/ is, from the program's folder. No other program is started but the one.
define program_script
#!/bin/sh
here=$$0
[ ! -L "$$here" ] || here=$$(readlink -f -- "$$here")
root=$$(CDPATH= cd -- "$${here%/*}/$(1)" && pwd) || exit 2
PYTHONUNBUFFERED= PYTHONPATH=$$root/plugin exec $(PYTHON) -P "$$root/plugin/clockscope/__main__.py" "$$@"
endef

$(BUILD)/clockscope: $(SELF) $(BUILD)/obj/stamp
	@mkdir -p $(@D)
	$(file >$@,$(call program_script,..))
	$(file >$@.installed,$(call program_script,../lib/clockscope))
	@chmod +x $@

# The program of the pages that `clockscope report` writes: bundled, so that a page needs no network, and committed, so
# that who uses clockscope needs no npm. `made-of` tells what it was made of.
BUNDLE := plugin/clockscope/reports/bundle
PAGE_SOURCES := $(sort $(wildcard plugin/page/*)) package-lock.json

kinds: ## write the kinds of events of schemas/events.toml to where C, SQL, schema, lanes and page have theirs
	@$(PYTHON) .ci/kinds.py

stubs: $(EXTENSION) ## write the table of stub quirks (c-ext/core/rsp/quirks.c) into STUBS.md
	@$(PYTHON) .ci/stubs.py

node_modules/.package-lock.json: package-lock.json
	@.ci/install-packages $(PAGE_PACKAGES)
	@.ci/install-npm
	@touch $@

build/page/main.js build/page/main.css build/page/made-of&: $(PAGE_SOURCES) node_modules/.package-lock.json
	@echo '  PAGE  $@'
	$(Q)node_modules/.bin/esbuild plugin/page/main.js --bundle --minify --format=iife --target=es2022 \
		--legal-comments=inline --log-level=warning --outdir=$(@D)
	@sha256sum $(PAGE_SOURCES) >$(@D)/made-of

page: build/page/main.js build/page/made-of ## bundle the program of the pages that `clockscope report` writes: commit what that changes
	@mkdir -p $(BUNDLE)
	@cp $(<D)/main.js $(<D)/main.css $(<D)/made-of $(BUNDLE)

page-check: build/page/main.js build/page/made-of ## is the committed bundle what its sources make?
	@for file in main.js main.css made-of; do cmp build/page/$$file $(BUNDLE)/$$file || { \
		echo "the bundle of the page is not what its sources make: make -f $(SELF) page, and commit it" >&2; exit 1; }; done

PYTHON_FILES := $(wildcard plugin/clockscope/*.py plugin/clockscope/*/*.py)

# Who may not write here, or has Python write no bytecode, starts as fast.
$(BUILD)/compiled: $(PYTHON_FILES) $(BUILD)/obj/stamp
	@$(PYTHON) -m compileall -q plugin/clockscope && touch $@

$(BUILD)/clockscope.1: $(EXTENSION) $(PYTHON_FILES)
	@PYTHONPATH=plugin $(PYTHON) -m clockscope.front.manual >$@

# For a test that destroys the binding's objects in every order.
$(BUILD)/asan/_core.abi3.so: $(PY:%=$(BUILD)/asan/%) $(BUILD)/asan/libcore.a
	@echo '  LINK  $@'
	$(Q)$(CC) -shared $(SANITIZE) -o $@ $^ $(LIBS)

$(TESTS): $(BUILD)/tests/%: $(BUILD)/asan/tests/%.o $(BUILD)/asan/libcore.a
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(CC) $(SANITIZE) -o $@ $^ -lcmocka $(LIBS)

$(FUZZERS): $(BUILD)/tests/%: $(BUILD)/fuzz/tests/%.o $(BUILD)/fuzz/libcore.a
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)clang $(SANITIZE) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# Installing

PREFIX ?= /usr/local
DESTDIR ?=
ZSH_DIR ?= $(PREFIX)/share/zsh/site-functions
# A tree without git's folder, such as the package's, says it in a file.
COMMIT = $(shell cat .commit 2>/dev/null || git rev-parse HEAD 2>/dev/null)
INSTALLING = PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' PYTHON='$(PYTHON)' COMMIT='$(COMMIT)' ZSH_DIR='$(ZSH_DIR)'

install: program ## install the program, the plugin, manual page and completions into PREFIX (/usr/local), below DESTDIR
	@$(INSTALLING) .ci/install-files $(BUILD)

uninstall: ## remove from PREFIX what `install` installed there
	@$(INSTALLING) .ci/uninstall-files

deb: ## make a Debian package in build/deb, without the network, and check it by lintian
	@.ci/make-deb

# Use

demo: packages guests ## boot a guest, record its clock bring-up, print the timeline
	@$(MAKE) --no-print-directory -f $(SELF) program
	@gdb -nx -q -batch -x examples/linux/demo.gdb

test: test-packages test-guests ## lint, build with gcc and clang, run every test and a minute of fuzzing
	@$(PYTHON) .ci/test.py

bench: packages guests ## print the cost of recording, of the relay and of its probes, as medians of paired runs
	@$(MAKE) --no-print-directory -f $(SELF) program
	@PYTHONPATH=plugin:plugin/tests:plugin/tests/support $(PYTHON) -m bench $(MEASUREMENTS)

kernels: test-packages test-guests more-guests ## boot Linux 5.10 to 7.2, hold timelines against the kernels' own words; print what is found in each
	@$(MAKE) --no-print-directory -f $(SELF) program
	@PYTHONPATH=plugin:plugin/tests/support $(PYTHON) -m kernels
	@KERNELS_ALL=1 $(PYTHON) -m pytest -q -n 2 --dist loadgroup plugin/tests/kernel/test_kernels.py
	@KERNELS_ALL=1 $(PYTHON) -m pytest -q -n 2 --dist loadgroup -k more plugin/tests/guests/test_record_linux.py

paths: test-packages test-guests more-guests ## hold paths of more machines than `test` has against QEMU's execution log
	@$(MAKE) --no-print-directory -f $(SELF) program
	@PATHS_ALL=1 $(PYTHON) -m pytest -q -n 2 --dist loadgroup plugin/tests/record/test_paths_linux.py

peers: packages ## run GDB's own testsuite directly and through the relay, and compare (PEERS='gdb.base/break …': some of it)
	@.ci/install-packages $(PACKAGES) gdbserver dejagnu dpkg-dev binutils
	@$(MAKE) --no-print-directory -f $(SELF) program
	@mkdir -p $(BUILD)/peers
	@plugin/tests/peers/fetch-testsuite $(BUILD)/peers/gdb-13.1
	@PYTHONPATH=plugin:plugin/tests:plugin/tests/support $(PYTHON) -m peers $(if $(COUNTERS),--counters) $(PEERS)

mutation: test-packages ## change MUTANTS (200) places of MUTATED (flow, relay, record), one at a time: do the unit tests notice?
	@$(MAKE) --no-print-directory -f $(SELF) $(BUILD)/gen/trace_schema.h
	@$(PYTHON) .ci/mutate.py -n $(or $(MUTANTS),200) $(MUTATED)

fuzz: test-packages ## run each fuzz target for FUZZ_SECONDS (3600), corpora in build/corpus
	@$(MAKE) --no-print-directory -f $(SELF) fuzzers
	@for target in $(FUZZERS); do .ci/fuzz $$target $(FUZZ_SECONDS) || exit 1; done

C_FILES = $(sort $(shell find c-ext -name '*.[ch]')) $(wildcard examples/model/*.[ch] examples/model/*/*.[ch])
SCRIPTS := .ci/run .ci/hosts .ci/install-packages .ci/install-npm .ci/formatter .ci/fuzz .ci/stamp .ci/check-build .ci/install-files .ci/uninstall-files .ci/make-deb \
	.ci/check-gdb $(addprefix examples/linux/,init init-told qemu-command fetch-file fetch-modules fetch-source \
	make-initramfs) examples/model/qemu-command examples/ci/boot-and-check plugin/clockscope.bash \
	plugin/tests/peers/fetch-testsuite

# Long, so no part of `test`.
HOSTS ?= bookworm trixie sid

hosts: ## run README's commands in fresh systems of HOSTS (bookworm trixie sid), as root
	@.ci/install-packages debootstrap git util-linux
	@.ci/hosts $(HOSTS)

lint: test-packages $(BUILD)/gen/trace_schema.h ## check format, types and common mistakes
	.ci/formatter check $(CLANG_FORMAT) clang-format -- --dry-run -Werror $(C_FILES)
	.ci/formatter check $(CLANG_FORMAT) clang-tidy -- --quiet $(CORE_FILES) -- $(ALL_CFLAGS)
	.ci/formatter check $(BLACK) $(PYTHON) -m black -- --quiet --check plugin .ci examples
	$(PYTHON) -m flake8 --select F plugin .ci examples
	$(PYTHON) -m mypy
	shellcheck -x $(SCRIPTS)

fmt: test-packages ## format all C and Python files
	.ci/formatter write $(CLANG_FORMAT) clang-format -- -i $(C_FILES)
	.ci/formatter write $(BLACK) $(PYTHON) -m black -- --quiet plugin .ci examples

clean: ## remove what was built; downloads stay
	@find build -mindepth 1 -maxdepth 1 ! -name guests ! -name peers -exec rm -rf {} + 2>/dev/null || true
	@rm -f plugin/clockscope/_core*.so*

distclean: clean ## remove the downloads too
	@rm -rf build node_modules
