#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: kunit-test.sh [kunit|debug]
#
# Builds the module for a kernel of test-kernel.sh (default: kunit), loads it there
# under QEMU, and reads the results of the KUnit tests from the console (ktap.py).
# Ends with a line "N passed, N failed"; the console is build/logs/kunit.log, or
# kunit-debug.log.

. "$(dirname "$0")/lib.sh"

if [ -z "${PBITMAP_IN_ROOT:-}" ]; then
	exec "$SCRIPTS/in-root.sh" /src/scripts/kunit-test.sh "$@"
fi
kernel=${1:-kunit}
tree=$("$SCRIPTS/test-kernel.sh" "$kernel")

mkdir -p "$LOGS"
name=kunit
if [ "$kernel" != kunit ]; then name=kunit-$kernel; fi
log=$LOGS/$name.log
ko=$("$SCRIPTS/build-module.sh" --name "module-$kernel" "$tree" 2>"$LOGS/$name-module.log") || {
	tail -n 40 "$LOGS/$name-module.log" >&2
	die "the module could not be built for the $kernel kernel"
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/root"/{bin,dev,proc,sys,tmp}
cp /usr/bin/busybox "$dir/root/bin/"
cp "$ko" "$dir/root/pbitmap.ko"
cat >"$dir/root/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mount -t tmpfs tmp /tmp
$b mount -t debugfs debug /sys/kernel/debug
$b insmod /pbitmap.ko && echo "kunit-init: insmod succeeded" >/dev/kmsg
$b rmmod pbitmap && echo "kunit-init: rmmod succeeded" >/dev/kmsg
# (the kernel has no driver that could power off; QEMU ends at a reboot)
$b reboot -f
INIT
chmod 755 "$dir/root/init"
(cd "$dir/root" && find . | cpio -o -H newc --quiet >"$dir/initramfs")

accel=$("$SCRIPTS/accel.sh")
cpu=(-cpu max)
if [ "$accel" = kvm ]; then cpu=(-cpu host); fi
say "running the KUnit tests in the $kernel kernel under $accel"
# No 5-level paging: early boot is no concern of ours, and it costs time.
timeout -k 2 300 qemu-system-x86_64 -accel "$accel" "${cpu[@]}" -smp 2 -m 1G \
	-nodefaults -display none -monitor none -no-reboot -serial "file:$log" \
	-kernel "$tree/arch/x86/boot/bzImage" -initrd "$dir/initramfs" \
	-append 'console=ttyS0 no5lvl panic=-1 loglevel=8 kunit.enable=1 kunit.autorun=1' </dev/null >&2 ||
	say "the KUnit guest did not end by itself; the report is of what it got to"

status=0
python3 "$SCRIPTS/ktap.py" --sources "$SRC/rust/pbitmap" --minimum 150 "$log" >"$dir/report" || status=1
extra=0
complain() {
	printf 'FAIL %s\n' "$*"
	extra=$((extra + 1))
}
sed '$d' "$dir/report"
if ! python3 "$SCRIPTS/kernellog.py" "$log" >"$dir/complaints"; then
	complain "the kernel's log complains: $(head -n 1 "$dir/complaints") (and more; see $log)"
fi
for step in insmod rmmod; do
	if ! grep -q "kunit-init: $step succeeded" "$log"; then complain "$step failed; see $log"; fi
done
read -r passed _ failed _ < <(tail -n 1 "$dir/report")
echo "$passed passed, $((failed + extra)) failed"
[ $status = 0 ] && [ $extra = 0 ]
