#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own selftests about exec, fork, signals and processes: all that were
# built, but those of mm (mm.sh has them), those that only measure or wait, and one
# whose core dump starts 400 programs from the slow root of the guest.
#
# needs: module
# smp: 2
# mem: 2G
# timeout: 1500
# boot: own

. "$(dirname "$0")/lib.sh"

without='^(mm:|coredump:stackdump_test$|prctl:disable-tsc-.*stress|membarrier:membarrier_rseq_stress|rseq:(run_param_test|param_test)|.*_benchmark$)'
# shellcheck disable=SC2046 # words
selftests $(grep -vE "$without" $SELFTESTS/kselftest-list.txt)
