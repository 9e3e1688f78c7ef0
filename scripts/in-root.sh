#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: in-root.sh [OPTION]... [--] COMMAND [ARG]...
#        in-root.sh [OPTION]... --shell
#
# Runs a command in the project's Debian 13 root, which is made first if the
# cache has none. Inside,
#
#   /src          is this checkout, writable; also the working directory
#   /cache        is the cache directory, writable
#   /tmp, /run    are fresh and gone afterwards
#
# and everything else is read-only, so no command can change the root for the
# next one. The network, proxies, CA certificates and cargo's configuration
# are the host's. CARGO_HOME and CARGO_TARGET_DIR lie in the cache.
#
#   --scratch          let the command change the whole root (apt-get install);
#                      the changes are in memory and gone afterwards
#
# Of variables only the usual ones get through. Already inside the root, the command is simply run.

. "$(dirname "$0")/lib.sh"

scratch=
env_args=()
while [ $# -gt 0 ]; do
	case $1 in
	--scratch)
		scratch=yes
		shift
		;;
	--shell)
		set -- bash -i
		break
		;;
	--)
		shift
		break
		;;
	-*)
		usage "$0"
		exit 2
		;;
	*) break ;;
	esac
done
if [ $# = 0 ]; then
	usage "$0"
	exit 2
fi

if [ -n "${PBITMAP_IN_ROOT:-}" ]; then
	exec "$@"
fi

if [ "$(id -u)" != 0 ]; then
	die "only root can enter the build root" "run the same command with sudo, or as root"
fi

root=$("$SCRIPTS/build-root.sh")
mkdir -p "$CACHE/cargo" "$CACHE/target" "$SRC/build"

# Variables that pass. Those that name certificate files are dealt with below.
for name in TERM COLORTERM NO_COLOR CI KVER V W PBITMAP_START SOURCE_DATE_EPOCH \
	http_proxy https_proxy ftp_proxy no_proxy all_proxy \
	HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY ALL_PROXY \
	RUST_BACKTRACE PROPTEST_CASES INSTA_UPDATE PBITMAP_ACCEL \
	"${!CARGO_NET_@}" "${!CARGO_HTTP_@}" "${!CARGO_REGISTRIES_@}" "${!CARGO_SOURCE_@}" "${!CARGO_TERM_@}"; do
	if [ "$name" != CARGO_HTTP_CAINFO ] && [ -n "${!name:-}" ]; then
		env_args+=("$name=${!name}")
	fi
done

# Each checkout has a target directory of its own: cargo goes by modification
# times, and would take another checkout's objects for this one's.
target=/cache/target/$(key "$SRC")
mkdir -p "$CACHE/target/${target##*/}"
touch "$CACHE/target/${target##*/}"
jobs=$(nproc)

env_args+=(
	PBITMAP_IN_ROOT="${root##*/}"
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	HOME=/root USER=root LOGNAME=root SHELL=/bin/bash LANG=C.UTF-8
	CARGO_HOME=/cache/cargo CARGO_TARGET_DIR="$target" CARGO_BUILD_JOBS="$jobs"
)

export IN_ROOT_ROOT=$root IN_ROOT_CACHE=$CACHE IN_ROOT_SRC=$SRC IN_ROOT_SCRATCH=$scratch

# A private view of the file systems, made by a shell that then becomes the
# command. The lock keeps build-root.sh from removing the root meanwhile.
# shellcheck disable=SC2016 # expanded by that shell
setup='
set -eu
mount --make-rprivate /
new=$IN_ROOT_CACHE/tmp/mnt
mkdir -p "$new"
mount -t tmpfs -o mode=755 pbitmap-root "$new"
mkdir "$new/root" "$new/upper" "$new/work"
cp /etc/resolv.conf "$new/resolv.conf" 2>/dev/null || : >"$new/resolv.conf"
base=$new
new=$new/root
if [ -n "$IN_ROOT_SCRATCH" ]; then
	mount -t overlay -o "lowerdir=$IN_ROOT_ROOT,upperdir=$base/upper,workdir=$base/work" pbitmap-scratch "$new"
else
	mount --bind "$IN_ROOT_ROOT" "$new"
	mount -o remount,bind,ro "$new"
	for dir in tmp var/tmp run root; do mount -t tmpfs -o mode=755 tmpfs "$new/$dir"; done
	chmod 1777 "$new/tmp" "$new/var/tmp"
fi
mount --rbind /dev "$new/dev"
mount --rbind /sys "$new/sys"
mount -t proc proc "$new/proc"
mount --bind "$base/resolv.conf" "$new/etc/resolv.conf"
# A machine behind a proxy may have certificates of its own.
if [ -s /etc/ssl/certs/ca-certificates.crt ]; then
	mount --bind /etc/ssl/certs "$new/etc/ssl/certs"
fi
if [ -d /usr/local/share/ca-certificates ]; then
	mount --bind /usr/local/share/ca-certificates "$new/usr/local/share/ca-certificates"
fi
mount --bind "$IN_ROOT_SRC" "$new/src"
mount --bind "$IN_ROOT_CACHE" "$new/cache"
for config in ${CARGO_HOME:-/nonexistent} ${HOME:-/root}/.cargo; do
	if [ -f "$config/config.toml" ] && [ "$config" != "$IN_ROOT_CACHE/cargo" ]; then
		mkdir -p "$new/root/.cargo-host"
		cp "$config/config.toml" "$new/root/.cargo-host/"
		break
	fi
done
cd "$new"
exec chroot . /bin/bash -c "
	cd /src
	if [ -e /root/.cargo-host/config.toml ]; then
		mount --bind /root/.cargo-host/config.toml /cache/cargo/config.toml
	fi
	exec env -i \"\$@\"" in-root "$@"
'

ca=${CARGO_HTTP_CAINFO:-${SSL_CERT_FILE:-${CURL_CA_BUNDLE:-}}}
if [ -s "$ca" ]; then
	# Any place will do as long as it is inside.
	mkdir -p "$CACHE/tmp"
	copy=$CACHE/tmp/host-ca-$(key "$(cat "$ca")").pem
	[ -e "$copy" ] || { cp "$ca" "$copy.$$" && mv "$copy.$$" "$copy"; }
	env_args+=(SSL_CERT_FILE="/cache/tmp/${copy##*/}" CARGO_HTTP_CAINFO="/cache/tmp/${copy##*/}")
fi
touch "$CACHE/cargo/config.toml"

exec 8<"$root"
flock -s 8
# (the first process of a PID namespace is deaf to SIGTERM: it ends with this one)
setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child \
	bash -c "$setup" setup "${env_args[@]}" "$@"
