# SPDX-License-Identifier: GPL-2.0
# `make help` lists what can be made. The work is done by scripts/, each of
# which says at its top what it does and takes.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Which stock kernel: 7.2, 7.3, 7.2.9, 7.2-rt (see scripts/root-kernel.sh).
export KVER
# What the demo is made of (see scripts/demo.sh), where things are installed.
export PROGRAM ARGS PACKAGES ONLY REPEAT
export BENCH_PROGRAMS BENCH_DEVICES BENCH_RIVALS CLOCK JOBS
export DESTDIR PREFIX

CACHE := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/pbitmap

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## */  \1\t/p' Makefile | expand -t 16
	@echo
	@echo "  KVER=7.3, KVER=7.2-rt take another kernel of Debian, KDIR=DIR any prepared tree,"
	@echo "  TESTS='NAME...' only these guest tests or parts; results are in build/,"
	@echo "  what is slow to make in $(CACHE)"

demo: check-env ## real programs, started cold without and with the module
	@scripts/demo.sh

test: check-env ## all tests that take minutes, closing with "N passed, N failed"
	@scripts/test.sh $(TESTS)

test-debug: check-env ## KASAN, lockdep, kmemleak, failing allocations (QUICK=1: a part)
	@scripts/debug-test.sh $(if $(QUICK),--quick) $(TESTS)

bench: check-env ## many programs, devices and rivals (hours; QUICK=1: a part)
	@scripts/bench.sh $(if $(QUICK),--quick)

overhead: check-env ## what the module costs programs that gain nothing by it
	@scripts/overhead.sh

modules: ## the module for Debian's stock kernel, or for the tree KDIR=
	@$(if $(KDIR),,scripts/check-env.sh)
	@scripts/build-module.sh $(KDIR) -- $(foreach v,V W CLIPPY LLVM,$(if $($v),$v=$($v)))

tool: ## pbitmap-tool, by this machine's cargo if it can
	@scripts/build-tool.sh --host

install: ## module and tool on this machine (KDIR=, DESTDIR=, PREFIX=)
	@$(if $(KDIR),,scripts/check-env.sh)
	@scripts/install.sh $(KDIR)

qemu-test: check-env ## the guest tests, or those in TESTS=
	@scripts/qemu-test.sh $(TESTS)

test-crash: check-env ## power cuts while bitmaps are written (QUICK=1: a few)
	@scripts/crash-test.sh $(if $(QUICK),--quick)

test-arm64: check-env ## Debian's arm64 kernels, with pages of 4 and 16 KiB, under emulation
	@scripts/arm64-test.sh

shell: check-env ## a prompt in the guest with the module loaded
	@scripts/qemu-test.sh --shell

kunit: check-env ## the KUnit tests in a small kernel
	@scripts/kunit-test.sh

clippy: check-env ## lints of the workspace and the module
	@scripts/test.sh clippy module

fmt: check-env ## format every Rust file
	@scripts/in-root.sh scripts/rustfmt.sh

fmtcheck: check-env ## say which Rust files are not formatted
	@scripts/in-root.sh scripts/rustfmt.sh --check

fuzz: check-env ## the fuzz targets, SECONDS= each (default 60)
	@scripts/in-root.sh scripts/fuzz.sh $(SECONDS)

soak: check-env ## STARTS=100000 under writeback and reload, CASES=50000 damaged programs: hours
	@scripts/soak.sh $(or $(STARTS),100000) $(CASES)

test-suites: check-env ## the kernel's selftests, stress-ng, a package's build: equal with the module
	@scripts/suites.sh $(if $(QUICK),--quick) $(PARTS)

rust-analyzer: ## rust-project.json for editors, for the tree KDIR=
	@scripts/build-module.sh $(KDIR) -- rust-analyzer

# dkms.conf calls this on machines where the module is installed. The tree is the
# one that README.md has the user make, made anew for another kernel.
dkms:
	@kdir=/lib/modules/$(KERNELVER)/build; \
	[ -e $$kdir/rust/libkernel.rmeta ] || \
		kdir=$$(scripts/prepare-kernel.sh --here /usr/src/pbitmap-kernel $(KERNELVER)) || exit 1; \
	scripts/build-module.sh $$kdir

check-env:
	@scripts/check-env.sh

clean: ## remove what was built in the checkout
	rm -rf build target rust-project.json

distclean: clean ## and the cache, with the roots and kernels
	rm -rf --one-file-system "$(CACHE)"

.PHONY: help demo test test-crash test-debug test-suites test-arm64 soak bench overhead modules tool install \
	qemu-test shell kunit clippy fmt fmtcheck fuzz rust-analyzer dkms check-env clean distclean
