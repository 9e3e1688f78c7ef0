# SPDX-License-Identifier: GPL-2.0
# `make help` lists what can be made. The work is done by scripts/.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

# The scripts' own choice unless given: a kernel to build for, a prepared tree.
export KVER KDIR

help:
	@sed -n 's/^\([a-z-]*\):.*## */  \1\t/p' Makefile | expand -t 18

modules: ## the module for Debian's stock kernel, or for the tree KDIR=
	@scripts/build-module.sh $(KDIR) -- $(if $(V),V=$(V)) $(if $(W),W=$(W)) $(if $(CLIPPY),CLIPPY=$(CLIPPY))

.PHONY: help modules
