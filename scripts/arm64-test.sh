#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: arm64-test.sh
#
# Cross-builds the module for Debian's arm64 kernels, with pages of 4 and of 16
# KiB, and boots them, the stock images, under emulation: programs, static and
# dynamic, are annotated here, run there (tests/arm64/init), and what was recorded is
# read here again, and taken to the kernels that follow. Ends with "N passed, N
# failed"; the consoles are build/logs/arm64-*.log.
#
# Environment:
#   KVER   the kernels' series or release (default: as in root-kernel.sh), or one
#          kernel, such as 7.2-arm64
#
# Each kernel has a root of its own with its cross compiler: 3 minutes and 3 GB.

. "$(dirname "$0")/lib.sh"

if [ -z "${PBITMAP_IN_ROOT:-}" ]; then
	kernels=("${KVER:-7.2}")
	case ${KVER:-} in
	*arm64*) ;;
	*) kernels=("${KVER:-7.2}-arm64" "${KVER:-7.2}-arm64-16k") ;;
	esac
	passed=0 failed=0
	mkdir -p "$LOGS"
	rm -rf "$SRC/build/arm64"
	for KVER in "${kernels[@]}"; do
		"$SCRIPTS/in-root.sh" /src/scripts/arm64-test.sh </dev/null | tee "$LOGS/arm64-test.log" || true
		read -r p _ f _ < <(tail -n 1 "$LOGS/arm64-test.log" | grep -E '^[0-9]+ passed, [0-9]+ failed$') || p=0 f=1
		passed=$((passed + p))
		failed=$((failed + f))
	done
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" != 0 ]
	exit
fi

. /etc/pbitmap-root
[ "$KERNEL_MACHINE" = arm64 ] || die "$KERNEL_RELEASE is no kernel of arm64"
name=arm64-${KERNEL_RELEASE#*-}
log=$LOGS/$name.log
mkdir -p "$LOGS"

say "building for Linux $KERNEL_RELEASE: module, programs"
ko=$(LOG_TAIL=60 "$SCRIPTS/build-module.sh" --name "module-$name" 2>"$LOGS/$name-module.log") || {
	tail -n 60 "$LOGS/$name-module.log" >&2
	die "the module does not build for $KERNEL_RELEASE"
}
tool=$("$SCRIPTS/build-tool.sh" 2>"$LOGS/tool.log") || die "the tool does not build"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cross() { aarch64-linux-gnu-gcc-14 -O2 -Wall -Wextra -Werror "$@"; }
mkdir -p "$dir/ram"/{bin,modules} "$dir/disk"/{bin,lib,ordinary,lost+found} "$SRC/build/arm64"
cross -static -o "$dir/disk/bin/reader" "$SRC/tests/arm64/reader.c"
cross -o "$dir/disk/bin/reader-dynamic" "$SRC/tests/arm64/reader.c"
for helper in launch settle-counters; do
	cross -static -o "$dir/ram/bin/$helper" "$SRC/tests/guest/helpers/$helper.c"
done
cp /usr/aarch64-linux-gnu/lib/{ld-linux-aarch64.so.1,libc.so.6} "$dir/disk/lib/"
cp /usr/aarch64-linux-gnu/bin/busybox "$dir/disk/bin/"
"$tool" annotate "$dir"/disk/bin/* >&2
# Those that an earlier kernel has recorded.
find "$SRC/build/arm64" -type f -exec cp -t "$dir/disk/bin/" {} +

# The stock kernel has its disk and its filesystem as modules.
modprobe -S "$KERNEL_RELEASE" --show-depends --all virtio_blk ext4 |
	awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
	while read -r module; do
		file=${module##*/}
		file=${file%.xz}
		case $module in
		*.xz) xz -dc "$module" >"$dir/ram/modules/$file" ;;
		*) cp "$module" "$dir/ram/modules/$file" ;;
		esac
		echo "$file" >>"$dir/ram/modules/order"
	done
cp /usr/aarch64-linux-gnu/bin/busybox "$dir/ram/bin/"
cp "$SRC/tests/arm64/init" "$dir/ram/init"
cp "$ko" "$dir/ram/pbitmap.ko"
shift=$(sed -n 's/^CONFIG_PAGE_SHIFT=//p' "/usr/src/linux-headers-$KERNEL_RELEASE/.config")
page_kib=$((1 << (shift - 10)))
echo $page_kib >"$dir/ram/page-size"
(cd "$dir/ram" && find . | cpio -o -H newc --quiet >"$dir/initramfs")
truncate -s 64M "$dir/disk.img"
mke2fs -q -t ext4 -d "$dir/disk" "$dir/disk.img"

say "booting it under emulation (a minute or two; log: build/logs/$name.log)"
# (an emulated processor signs pointers slowly, and differently much faster)
timeout -k 2 600 qemu-system-aarch64 -machine virt -cpu max,pauth-impdef=on -smp 2 -m 1G \
	-nodefaults -display none -no-reboot -serial "file:$log" \
	-drive "file=$dir/disk.img,format=raw,if=none,id=disk" -device virtio-blk-pci,drive=disk \
	-kernel "$KERNEL_IMAGE" -initrd "$dir/initramfs" \
	-append 'console=ttyAMA0 panic=-1 loglevel=5' </dev/null >&2 ||
	say "the guest did not end by itself"

passed=0
failed=0
pass() {
	passed=$((passed + 1))
	printf '  ok    %s\n' "$*"
}
fail() {
	failed=$((failed + 1))
	printf '  FAIL  %s\n' "$*"
}
while IFS= read -r line; do
	line=${line%$'\r'}
	case $line in
	'  ok    '*) pass "${line#  ok    }" ;;
	'  FAIL  '*) fail "${line#  FAIL  }" ;;
	'        '*) echo "$line" ;;
	esac
done < <(grep -aE '^  (ok|FAIL|  )  ' "$log")
if grep -qaE '^the end' "$log"; then pass 'the guest came to its end'; else fail "the guest did not come to its end; see build/logs/$name.log"; fi
if python3 "$SCRIPTS/kernellog.py" "$log" >"$dir/complaints"; then
	pass "the kernel's log has no complaint"
else
	fail "the kernel's log complains: $(head -n 1 "$dir/complaints")"
fi

# What is on the disk now.
mkdir "$dir/after"
debugfs -R "rdump / $dir/after" "$dir/disk.img" 2>/dev/null
status=0
e2fsck -fn "$dir/disk.img" >"$dir/fsck" 2>&1 || status=$?
if [ $status = 0 ]; then pass 'the filesystem is sound'; else fail "e2fsck: $(tail -n 1 "$dir/fsck")"; fi
recorded() { # FILE - its pages in the bitmap, a line a page
	"$tool" show --pages "$1" | while read -r first count; do seq "$first" $((first + count - 1)); done | sort
}
for program in reader reader-dynamic busybox; do
	ordinary=$dir/after/ordinary/$program
	if "$tool" check "$ordinary" >/dev/null; then pass "$program: check"; else fail "$program: check: status $?"; fi
	recorded "$ordinary" >"$dir/ordinary"
	recorded "$dir/after/bin/$program" >"$dir/exact"
	ordinary=$(wc -l <"$dir/ordinary")
	exact=$(wc -l <"$dir/exact")
	both=$(comm -12 "$dir/ordinary" "$dir/exact" | wc -l)
	what="$program: $exact pages touched, $ordinary recorded, $both of them touched"
	if [ "$exact" != 0 ] && [ $((both * 100)) -ge $((exact * 97)) ]; then pass "$what"; else fail "$what"; fi
	if [ -e "$dir/after/$program.touched" ]; then
		missing=$(sort "$dir/after/$program.touched" | comm -23 - "$dir/ordinary" | wc -l)
		if [ "$missing" = 0 ]; then pass "$program: all pages that it read are recorded"; else fail "$program: $missing pages that it read are not recorded"; fi
	fi
done
cp "$dir/after/ordinary/reader" "$SRC/build/arm64/reader-${page_kib}k"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
