#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# gzip of Debian, configured, compiled and tested by its own tests. The objects,
# the programs and the results are compared.
#
# needs: module
# smp: 2
# mem: 2G
# timeout: 1500
# boot: own

. "$(dirname "$0")/lib.sh"

build=$DEBIAN/build
mkdir $build
# (the same in each run, wherever a time or a place gets into a file)
debian env SOURCE_DATE_EPOCH=1700000000 bash -c '
	cd /build
	tar --strip-components=1 -xf /suites/source/gzip_*.orig.tar.xz
	step() {
		local name=$1
		shift
		"$@" >"/build/$name.log" 2>&1
		echo "RESULT step $name = status $?"
	}
	step configure ./configure --disable-dependency-tracking --disable-nls CFLAGS=-O1
	step make make -j2
	step check make check -k
'
for log in "$build"/tests/*.trs; do
	if [ -e "$log" ]; then
		result "test ${log##*/}" "$(sed -n 's/^:test-result: //p' "$log" | tr '\n' ' ')"
	fi
done
(cd "$build" && find . -type f \( -name '*.o' -o -name '*.a' -o -name gzip -o -name config.h \
	-o -name Makefile \) -print0 | sort -z | xargs -0 sha256sum) | while read -r sum file; do
	result "sum ${file#./}" "$sum"
done
