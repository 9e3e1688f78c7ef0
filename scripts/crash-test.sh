#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: crash-test.sh [--quick] [OPTION]... [log-FILESYSTEM | kill]...
#
# Cuts the power while bitmaps are written (`make test-crash`) and looks at what
# is left, on ext4 in its modes, xfs and btrfs: by replaying a log of all writes
# at every step (tests/guest/crash/log.sh), and by killing QEMU
# (tests/guest/crash/kill.sh). --quick makes few cuts.
#
#   --cuts N    of each log        --kills N   of QEMU
#   --seed N    cut at the same places again, as far as the guest does the same
#   --no-build  test what is there
#
# Prints a table and as the last line "N passed, N failed", where each cut counts;
# build/crash.json has the same, and each cut that left something wrong.

. "$(dirname "$0")/lib.sh"

case " $* " in *" --help "* | *" -h "*)
	usage "$0"
	exit
	;;
esac

exec "$SCRIPTS/qemu-test.sh" --by crash.py "$@"
