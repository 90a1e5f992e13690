# SPDX-License-Identifier: MIT
# The model guests. Included by setup.mk; also works alone: `make -f examples/model/model.mk models`.
#
# build/guests/model/FLAVOUR.elf          PVH entry, symbols and DWARF: boot it, and load it in GDB
# build/guests/model/FLAVOUR.multiboot    the same kernel for multiboot loaders, without symbols
# build/guests/model/clang/…              the same, compiled by clang

BUILD ?= build
GUESTS ?= $(BUILD)/guests
MODELS := $(GUESTS)/model
MODEL_SOURCE := examples/model
MODEL_FLAVOURS := netbsd freebsd
MODEL_HEADERS := $(wildcard $(MODEL_SOURCE)/*.h $(MODEL_SOURCE)/*/*.h)
MODEL_COMMON := $(patsubst $(MODEL_SOURCE)/%,%,$(wildcard $(MODEL_SOURCE)/*.c $(MODEL_SOURCE)/machine/*.c)) \
	machine/boot.S

# A kernel's own flags: no C library, no vector registers, addresses in the top 2 GiB, interrupts on the same stack.
MODEL_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-pie -fno-stack-protector -fno-strict-aliasing \
	-fno-asynchronous-unwind-tables -fno-omit-frame-pointer -fcf-protection=none -mcmodel=kernel -mno-red-zone \
	-mgeneral-regs-only -Wall -Wextra -Wswitch-enum -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wvla $(WERROR)
MODEL_LDFLAGS := -static -nostdlib -Wl,--build-id -Wl,-T,$(MODEL_SOURCE)/model.ld

# GDB tells the operating system by this byte of the header, as it does for real kernels.
MODEL_OSABI_freebsd := FreeBSD

.SECONDARY:
.PHONY: models models-clang FORCE
models: $(MODEL_FLAVOURS:%=$(MODELS)/%.elf) $(MODEL_FLAVOURS:%=$(MODELS)/%.multiboot) ## build the model guests: small kernels with a BSD's names

models-clang: $(MODEL_FLAVOURS:%=$(MODELS)/clang/%.elf) ## the same with clang, for the tests

# $(1): directory, $(2): flavour
model_objects = $(patsubst %,$(1)/obj/%.o,$(MODEL_COMMON) \
	$(patsubst $(MODEL_SOURCE)/%,%,$(wildcard $(MODEL_SOURCE)/$(2)/*.c)))

# $(1): directory, $(2): compiler
define model_compiler
$(1)/stamp: FORCE
	@.ci/stamp $$@ 'stdint.h stddef.h stdarg.h' '' $(2) $(MODEL_CFLAGS)

$(1)/obj/%.o: $(MODEL_SOURCE)/% $(MODEL_HEADERS) $(MODEL_SOURCE)/model.mk $(1)/stamp
	@mkdir -p $$(@D)
	@$(2) $(MODEL_CFLAGS) -c $$< -o $$@

$(foreach flavour,$(MODEL_FLAVOURS),$(call model_link,$(1),$(2),$(flavour)))
endef

# $(1): directory, $(2): compiler, $(3): flavour
define model_link
$(1)/$(3).elf: $(call model_objects,$(1),$(3)) $(MODEL_SOURCE)/model.ld
	@echo "$(2) -o $$@"
	@$(2) -o $$@ $(MODEL_LDFLAGS) $$(filter %.o,$$^)
	@$(if $(MODEL_OSABI_$(3)),elfedit --output-osabi $(MODEL_OSABI_$(3)) $$@)

endef

$(eval $(call model_compiler,$(MODELS),gcc))
$(eval $(call model_compiler,$(MODELS)/clang,clang))

# QEMU's multiboot loader takes 32-bit ELF files only; what it reads of them, the physical addresses, fits in 32 bits.
$(MODELS)/%.multiboot: $(MODELS)/obj/machine/multiboot.S.o $(MODELS)/%.elf
	@echo "gcc -o $@"
	@gcc -o $@ $(MODEL_LDFLAGS) $< $(call model_objects,$(MODELS),$*)
	@objcopy -O elf32-i386 --strip-all $@
