#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: accel.sh
#
# Prints "kvm" if this machine's /dev/kvm runs the stock kernel, else "tcg".
# A /dev/kvm that is there may still hang or crawl (nested virtualization), so
# a guest is booted once, as far as its panic for want of a root; the answer is
# kept for this host's kernel and processor. PBITMAP_ACCEL=kvm|tcg overrides it.

. "$(dirname "$0")/lib.sh"

if [ -z "${PBITMAP_IN_ROOT:-}" ]; then
	exec "$SCRIPTS/in-root.sh" /src/scripts/accel.sh
fi
. /etc/pbitmap-root
[ "$KERNEL_MACHINE" = amd64 ] ||
	die "Linux $KERNEL_RELEASE is for another machine" "'make test-arm64' boots those of arm64"
if [ -n "${PBITMAP_ACCEL:-}" ]; then
	echo "$PBITMAP_ACCEL"
	exit
fi
if [ ! -w /dev/kvm ]; then
	echo tcg
	exit
fi

answer=$CACHE/accel-$(key "$(uname -r)" "$KERNEL_RELEASE" "$(grep -m1 'model name' /proc/cpuinfo)" \
	"$(ls -lL --time-style=+ /dev/kvm)")

probe() {
	if [ -e "$answer" ]; then return; fi
	say "trying /dev/kvm with a short boot (20 seconds at most)"
	local log accel=tcg
	log=$(mktemp)
	# Software emulation needs 5 seconds to the panic; KVM that works, 1.
	timeout -s TERM -k 2 20 qemu-system-x86_64 -accel kvm -cpu host -m 512M -display none -no-reboot \
		-kernel "$KERNEL_IMAGE" -append 'console=ttyS0 panic=-1 quiet loglevel=3' \
		-serial "file:$log" -monitor none -nodefaults >/dev/null 2>&1 </dev/null || true
	if grep -q 'Unable to mount root fs' "$log"; then accel=kvm; fi
	rm -f "$log"
	say "/dev/kvm $([ $accel = kvm ] && echo works || echo 'does not run a stock kernel: software emulation it is')"
	echo $accel >"$answer.new"
	mv "$answer.new" "$answer"
}

if [ ! -e "$answer" ]; then
	with_lock "${answer##*/}" probe
fi
cat "$answer"
