#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: install.sh [KDIR]
#
# Installs the module where modprobe finds it and the tool in $PREFIX/bin
# (`make install`), both built first if need be. The module is that for KDIR or,
# without it, for Debian's stock kernel.
#
# Environment:
#   DESTDIR   put before every path, for packagers
#   PREFIX    of the tool (default: /usr/local)

. "$(dirname "$0")/lib.sh"

PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}

PATH=$PATH:/usr/sbin:/sbin
if [ -z "$DESTDIR" ]; then
	[ "$(id -u)" = 0 ] || die "only root can install below /lib/modules" "run the same command with sudo, or set DESTDIR"
	command -v depmod >/dev/null || die "depmod is not installed" "apt-get install kmod"
fi

# A path in the root is the same file below the checkout.
ko=$("$SCRIPTS/build-module.sh" "$@") || die "the module could not be built"
case $ko in /src/*) ko=$SRC/${ko#/src/} ;; esac
tool=$("$SCRIPTS/build-tool.sh" --host) || die "the tool could not be built"
case $tool in /src/*) tool=$SRC/${tool#/src/} ;; esac

# (modinfo may not be there)
release=$(tr '\0' '\n' <"$ko" | sed -n 's/^vermagic=\([^ ]*\).*/\1/p')
modules=$DESTDIR/lib/modules/$release
if [ -z "$DESTDIR" ]; then
	[ -d "$modules" ] || die "the module is for Linux $release, which this machine has not got" \
		"running is $(uname -r); KDIR= names the tree of another kernel, KVER= a stock kernel of Debian"
fi
install -D -m 644 "$ko" "$modules/updates/pbitmap.ko"
install -D -m 755 "$tool" "$DESTDIR$PREFIX/bin/pbitmap-tool"
if [ -z "$DESTDIR" ]; then depmod "$release"; fi
say "installed $modules/updates/pbitmap.ko and $DESTDIR$PREFIX/bin/pbitmap-tool"
if [ -z "$DESTDIR" ] && [ "$release" = "$(uname -r)" ]; then
	say "'modprobe pbitmap' loads it; a line 'pbitmap' in /etc/modules-load.d/pbitmap.conf does at every boot"
fi
