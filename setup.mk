# clockscope: set-up, build, tests. `make -f setup.mk help` lists the targets.
PYTHON := /usr/bin/python3
BUILD := build
CC ?= gcc
WARN := -std=gnu11 -Wall -Wextra -Wswitch-enum -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Werror
CFLAGS ?= -O2 -g
ALL_CFLAGS = $(CFLAGS) $(WARN) -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread
LIBS := -lcapstone -lsqlite3 -ldw -lelf -pthread

CORE_SRC := $(wildcard c-ext/core/*.c)
CORE_OBJ := $(CORE_SRC:c-ext/%.c=$(BUILD)/obj/%.o)
PY_OBJ := $(patsubst c-ext/%.c,$(BUILD)/obj/%.o,$(wildcard c-ext/py/*.c))
EXTENSION := plugin/clockscope/_core.abi3.so

build: $(EXTENSION)

$(BUILD)/obj/core/%.o: c-ext/core/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -c $< -o $@

$(BUILD)/obj/py/%.o: c-ext/py/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DPy_LIMITED_API=0x030b0000 $(shell $(PYTHON) -c 'import sysconfig;print("-I"+sysconfig.get_path("include"))') -MMD -c $< -o $@

$(BUILD)/libcore.a: $(CORE_OBJ)
	@rm -f $@
	ar rcs $@ $^

$(EXTENSION): $(PY_OBJ) $(BUILD)/libcore.a
	$(CC) -shared -o $@ $(PY_OBJ) $(BUILD)/libcore.a $(LIBS)

-include $(CORE_OBJ:.o=.d) $(PY_OBJ:.o=.d)
