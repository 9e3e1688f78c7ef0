#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: root-kernel.sh [KVER]
#
# Runs inside the new root (build-root.sh calls it): chooses the stock kernel,
# installs its source, headers, image and modules, and writes what it chose to
# /etc/pbitmap-root.
#
# KVER is a series (7.2), a release (7.2.9) or a full name
# (7.2.9+deb13-amd64), of a kernel with CONFIG_RUST=y: 7.2 or newer. Without it:
# 7.2 while the archive has it, else the newest series. A series or release may
# end in a flavour, as the archive calls it: 7.2-rt, 7.3-cloud, 7.2-arm64,
# 7.2-arm64-16k; those of arm64 come with what builds and boots them from here.

set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

want=${1:-}
OLDEST_SERIES=7.2

# What the archive's names end in. Those of other machines name the machine.
flavour=amd64
case $want in
*+deb*-*) flavour=${want#*-} ;;
*-*)
	flavour=${want#*-}
	want=${want%%-*}
	case $flavour in
	*amd64* | *arm64*) ;;
	*) flavour+=-amd64 ;;
	esac
	;;
esac
case $flavour in
*arm64*) machine=arm64 ;;
*) machine=amd64 ;;
esac

install() {
	apt-get install -qq --yes --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
}

# all versions of a package, newest first
versions() {
	apt-cache madison "$1" | awk -F ' *\\| *' '{print $2}' | sort -Vru
}

series_list() {
	apt-cache pkgnames linux-source- | sed -n 's/^linux-source-\([0-9]\+\.[0-9]\+\)$/\1/p' | sort -Vr
}

# the release (7.2.12+deb13-amd64) whose packages have version VERSION
release_of() { # SERIES VERSION
	local package
	for package in $(apt-cache pkgnames "linux-headers-$1." |
		grep -E -- "-$1\.[0-9]+\+deb[0-9]+-$flavour\$" | sort -Vr); do
		if versions "$package" | grep -qxF -- "$2"; then
			echo "${package#linux-headers-}"
			return
		fi
	done
	return 1
}

if [ $machine != amd64 ]; then
	dpkg --add-architecture $machine
	apt-get update -qq
fi

if [[ $want =~ ^([0-9]+\.[0-9]+) ]]; then
	series=${BASH_REMATCH[1]}
elif series_list | grep -qxF "$OLDEST_SERIES"; then
	series=$OLDEST_SERIES
else
	series=$(series_list | head -n 1)
fi
if ! printf '%s\n' "$OLDEST_SERIES" "$series" | sort -VC; then
	echo "root-kernel.sh: Linux ${series:-} is configured without Rust; the module needs $OLDEST_SERIES or newer" >&2
	exit 1
fi

release=
for version in $(versions "linux-source-$series"); do
	release=$(release_of "$series" "$version") || continue
	case $want in
	"" | "$series" | "${release%%+*}" | "$release") break ;;
	esac
	release=
done
if [ -z "$release" ]; then
	echo "root-kernel.sh: no kernel '${want:-of $OLDEST_SERIES or newer}' of the flavour '$flavour' in the archive; there are:" >&2
	apt-cache pkgnames linux-headers- | grep -E 'deb[0-9]+-[a-z]' | grep -v common | sort -V >&2
	exit 1
fi

# The image without its maintainer scripts' company: linux-image-* would pull
# in an initramfs generator, which the guest does not need.
packages=("linux-headers-$release=$version")
for binary in "linux-binary-$release" "linux-binary-unsigned-$release" "linux-image-$release"; do
	if versions "$binary" | grep -qxF -- "$version"; then
		packages+=("$binary=$version")
		break
	fi
done
if versions "linux-modules-$release" | grep -qxF -- "$version"; then
	packages+=("linux-modules-$release=$version")
fi

# unpack PACKAGE[=VERSION]... - those of another machine, which cannot be
# installed here, without what dpkg leaves out in this root
unpack() {
	local dir deb excludes
	dir=$(mktemp -d)
	mapfile -t excludes < <(sed -n 's/^path-exclude=/--exclude=./p' /etc/dpkg/dpkg.cfg.d/*)
	(cd "$dir" && apt-get download -qq -o APT::Sandbox::User=root "$@")
	for deb in "$dir"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -C / --keep-directory-symlink "${excludes[@]}" -x
	done
	rm -r "$dir"
}

echo "root-kernel.sh: Linux $release from ${packages[*]}"
# shellcheck disable=SC1091 # the root's own file
. /etc/os-release
if [ $machine = amd64 ]; then
	install -t "$VERSION_CODENAME-backports" "linux-source-$series=$version" "${packages[@]}"
else
	install -t "$VERSION_CODENAME-backports" "linux-source-$series=$version"
	install gcc-14-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm
	unpack "${packages[@]/=/:$machine=}"
	# (not at its own place, which has ours)
	dir=$(mktemp -d)
	(cd "$dir" && apt-get download -qq -o APT::Sandbox::User=root "busybox-static:$machine" && dpkg -x ./*.deb .)
	mkdir -p /usr/aarch64-linux-gnu/bin
	mv "$dir/usr/bin/busybox" /usr/aarch64-linux-gnu/bin/
	rm -r "$dir"
fi

vmlinuz=
for file in "/boot/vmlinuz-$release" "/usr/lib/modules/$release"/vmlinuz{,.unsigned}; do
	if [ -e "$file" ]; then vmlinuz=$file; fi
done
if [ -z "$vmlinuz" ]; then
	echo "root-kernel.sh: the packages of $release hold no vmlinuz" >&2
	exit 1
fi

if [ ! -e "/lib/modules/$release/modules.dep" ]; then
	depmod "$release"
fi

{
	echo "KERNEL_SERIES=$series"
	echo "KERNEL_RELEASE=$release"
	echo "KERNEL_IMAGE=$vmlinuz"
	echo "KERNEL_MACHINE=$machine"
	# What a prepared kernel tree is made from: another version of any of
	# these means another tree.
	compiler=gcc-14
	if [ $machine != amd64 ]; then compiler=gcc-14-aarch64-linux-gnu; fi
	echo "TOOLCHAIN='$(dpkg-query -W -f '${Package}=${Version} ' \
		"linux-source-$series" "$compiler" rustc bindgen binutils libelf-dev)'"
} >/etc/pbitmap-root
