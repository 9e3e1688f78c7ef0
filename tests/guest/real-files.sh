# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Real programs with all that they map and read, to be unpacked on the disk under
# test as the root of a small system: build.sh packs them. Sourced.

REAL_PROGRAMS='/usr/bin/git /usr/bin/perl /usr/bin/python3 /usr/bin/busybox /usr/bin/vim.tiny
/usr/libexec/gcc/x86_64-linux-gnu/14/cc1 /usr/bin/true'
CLANG=/usr/lib/llvm-19/bin/clang

# with_links PATH - it, where it leads to, and what it needs
with_links() {
	local library
	echo "$1"
	realpath "$1"
	# "	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)", "	/lib64/ld-linux-x86-64.so.2 (0x...)"
	{ ldd "$1" 2>/dev/null || true; } | sed -n 's,^[[:space:]]*\([^ ]* => \)\?\(/[^ ]*\) (.*,\2,p' | while read -r library; do
		library=$(realpath -s "$library")
		case $library in /lib*) library=/usr$library ;; esac
		echo "$library"
		realpath "$library"
	done
}

# pack_files TAR PROGRAM...
pack_files() {
	local tar=$1 program
	shift
	for program in "$@"; do with_links "$program"; done | sort -u | sed 's,^/,,' >"$tar.list"
	tar -C / -cf "$tar.new" -T "$tar.list"
}

# pack_real_files DIR
pack_real_files() {
	# shellcheck disable=SC2086 # words
	pack_files "$1/real-programs.tar" $REAL_PROGRAMS /usr/lib/python3*/lib-dynload/*.so
	# What python3 and perl load. (The tests write no compiled modules.)
	(cd / && find usr/lib/python3* usr/lib/x86_64-linux-gnu/perl* usr/share/perl* usr/lib/locale \
		\( -name test -o -name idlelib -o -name pydoc_data -o -name dist-packages \) -prune -o \( -type f -o -type l \) -print) \
		>"$1/real-programs.tar.list"
	find /etc/ld.so.cache | sed 's,^/,,' >>"$1/real-programs.tar.list"
	tar -C / -rf "$1/real-programs.tar.new" -T "$1/real-programs.tar.list"
	mv "$1/real-programs.tar.new" "$1/real-programs.tar"
	pack_files "$1/clang.tar" $CLANG
	mv "$1/clang.tar.new" "$1/clang.tar"
}

# use_real_files DIR [ARCHIVE] - into the directory that is to be the programs' root
use_real_files() {
	mkdir -p "$1"/usr/lib64 "$1"/usr/lib "$1"/usr/bin "$1"/tmp "$1"/dev
	[ -e "$1/lib" ] || ln -s usr/lib usr/lib64 usr/bin "$1"
	[ -e "$1/dev/null" ] || mknod -m 666 "$1/dev/null" c 1 3
	[ -e "$1/dev/urandom" ] || mknod -m 666 "$1/dev/urandom" c 1 9
	tar -C "$1" -xf "$PBITMAP_TARS/${2:-real-programs}.tar" || broken 'the real programs could not be unpacked'
}
