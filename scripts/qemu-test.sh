#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: qemu-test.sh [OPTION]... [TEST]...
#        qemu-test.sh --shell [OPTION]... [KERNEL-OPTION]...
#        qemu-test.sh --list
#
# Runs the tests of tests/guest/ (all, or those named; patterns work) on the
# unmodified distribution kernel under QEMU, or with --shell gives a prompt
# there with the module loaded and the tool in PATH. What changed is built
# first. KVM is used where it works, else software emulation.
#
#   --smp N, --mem SIZE   of the guest, for --shell
#   --parallel N          guests at a time (default: 2)
#   --no-build            test what is there
#   --by SCRIPT           let this one run the guests, instead of guest.py, and
#                         give it the rest of the arguments
#   --debug               in the debug kernel of test-kernel.sh; the results are in
#                         build/logs/guest-debug/
#   --quick               of what can be done to any length, little
#   --set NAME=VALUE      a variable that the tests see, for those that have one
#   --timeout SECONDS     for each test, instead of what it says itself
#
# Ends with a line "N passed, N failed" and leaves each test's output and kernel
# log in build/logs/guest/. A test that fails without a complaint of the kernel
# is tried once more, alone; if it passes then, it is named as UNSTEADY.
#
# A test is a bash script tests/guest/NAME.sh that exits with 0 when all is
# well. It runs as root in a session of its own, is ended after its timeout, and
# fails also when the kernel complains meanwhile, when the module is left loaded
# and cannot be removed, or a disk is left mounted. Its comments at the top may
# say
#
#   # needs: module tool xfs fio   what must be there: the module, the tool,
#                                  commands, kernel modules (loaded for it)
#   # smp: 2        processors (default 1: two such guests run side by side)
#   # mem: 2G       memory (default 1G)
#   # timeout: 300  seconds under software emulation (default 120)
#   # boot: own     it shares its boot with no other test
#   # cmdline: ...  kernel options
#   # disk: 4G      size of each of the two disks (default 1G)
#   # kernel: debug  only there (or "stock": not in the debug kernel)
#   # may-skip: why it may print a line "SKIP reason" and exit with 0
#
# and it finds these variables:
#
#   PBITMAP_KO, PBITMAP_TOOL     the module and the tool
#   PBITMAP_HELPERS              what tests/guest/build.sh made
#   SCRATCH_DEV, EXTRA_DEV       two disks of its own that may be wiped
#   PBITMAP_QUICK                "yes" with --quick
#
# What is in directories of tests/guest/ is not run by this (see crash-test.sh).

. "$(dirname "$0")/lib.sh"

case " $* " in *" --help "* | *" -h "*)
	usage "$0"
	exit
	;;
esac

if [ -z "${PBITMAP_IN_ROOT:-}" ]; then
	exec "$SCRIPTS/in-root.sh" /src/scripts/qemu-test.sh "$@"
fi

build=yes
shell=
runner=guest.py
quick=
tree=
module=module
args=()
variables=
while [ $# -gt 0 ]; do
	case $1 in
	--set)
		variables+="${2:?--set needs NAME=VALUE}"$'\n'
		shift
		;;
	--no-build) build= ;;
	--quick)
		quick=yes
		if [ $runner != guest.py ]; then args+=("$1"); fi
		;;
	--debug)
		tree=$("$SCRIPTS/test-kernel.sh" debug)
		module="module-debug"
		args+=(--kernel "$tree" --logs guest-debug)
		;;
	--list) exec python3 "$SCRIPTS/guest.py" --list ;;
	--by)
		runner=${2:?}
		shift
		;;
	--shell)
		shell=yes
		args+=("$1")
		;;
	*) args+=("$1") ;;
	esac
	shift
done

mkdir -p "$LOGS"
if [ -n "$build" ]; then
	say "building what changed: module, tool, test helpers"
	LOG_TAIL=60 logged "$LOGS/module.log" "$SCRIPTS/build-module.sh" --name $module $tree ||
		die "the module does not build"
	LOG_TAIL=60 logged "$LOGS/tool.log" "$SCRIPTS/build-tool.sh" ||
		die "the tool does not build"
	if [ -x "$SRC/tests/guest/build.sh" ]; then
		logged "$LOGS/helpers.log" "$SRC/tests/guest/build.sh" "$SRC/build/guest" ||
			die "the guest tests' helpers do not build"
	fi
fi
accel=$("$SCRIPTS/accel.sh")
environment="PBITMAP_KO=/src/build/$module/rust/pbitmap/pbitmap.ko
PBITMAP_TOOL=/src/build/bin/pbitmap-tool
PBITMAP_HELPERS=/src/build/guest
PBITMAP_ACCEL=$accel
PBITMAP_QUICK=$quick
$variables"
if [ -n "$shell" ]; then
	say "booting Linux $(. /etc/pbitmap-root && echo "$KERNEL_RELEASE") under $accel; a prompt comes in 10 to 20 seconds"
fi
exec python3 "$SCRIPTS/$runner" --accel "$accel" --env "$environment" "${args[@]}"
