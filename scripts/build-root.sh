#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: build-root.sh [--rebuild]
#
# Makes the Debian 13 root in which everything is built and tested, unless the
# cache has it, and prints its path. The only thing it needs of the host is
# mmdebstrap (check-env.sh installs it).
#
# The root's name is a hash of what it is made from: the package list, these
# scripts and KVER. A finished root is never changed; --rebuild makes it anew,
# with the archive's newest packages.
#
# Environment:
#   KVER             the kernel to take (7.3, 7.2.9, 7.2-rt; default: 7.2, see root-kernel.sh)
#   PBITMAP_MIRROR   the Debian mirror (default: the one in the host's apt configuration)

. "$(dirname "$0")/lib.sh"

SUITE=trixie
KEEP_ROOTS=6

rebuild=
case ${1:-} in
--rebuild) rebuild=yes ;;
"") ;;
*)
	usage "$0"
	exit 2
	;;
esac

packages=$(sed 's/#.*//;/^[[:space:]]*$/d' "$SCRIPTS/root-packages.txt" | sort)
root=$CACHE/root-$(key "$packages" "$SUITE" "${KVER:-}" \
	"$(cat "$SCRIPTS/build-root.sh" "$SCRIPTS/root-kernel.sh" "$SCRIPTS/root-guest.sh")")

finished() {
	[ -z "$rebuild" ] && [ -e "$root/etc/pbitmap-root" ]
}

# The Debian mirror of the host. indextargets knows every way apt can be
# configured; sources for security updates are another archive.
host_mirror() {
	local uri
	uri=$(apt-get indextargets --format '$(CREATED_BY) $(COMPONENT) $(REPO_URI) $(RELEASE) $(ORIGIN)' |
		awk '$1 == "Packages" && $2 == "main" && $3 !~ /security/ &&
		     $4 ~ /^(bookworm|trixie|stable|oldstable|testing|sid|unstable|forky)/ &&
		     ($5 == "" || $5 == "Debian") { print $3; exit }')
	case $uri in
	mirror+file:*) uri=$(awk 'NF && !/^#/ { print $1; exit }' "${uri#mirror+file:}") ;;
	esac
	if [ -z "$uri" ]; then
		die "apt on this machine names no Debian mirror" \
			"run 'apt-get indextargets' to see what it knows, or set PBITMAP_MIRROR=URL"
	fi
	echo "$uri"
}

# The host's proxy and certificate settings for apt, as options for mmdebstrap.
host_apt_options() {
	apt-config dump | grep -E '^Acquire::https?::(.*::)?(Proxy|ProxyAutoDetect|CaInfo|Verify-Peer|Verify-Host|Timeout) "' || true
}

build() {
	if finished; then return; fi # another run made it while we waited
	command -v mmdebstrap >/dev/null ||
		die "mmdebstrap is not installed" "run scripts/check-env.sh"

	local mirror work log option options=()
	mirror=${PBITMAP_MIRROR:-$(host_mirror)}
	work=$CACHE/tmp/${root##*/}
	log=$CACHE/logs/${root##*/}.log
	rm -rf --one-file-system "$work"
	mkdir -p "$CACHE/tmp" "$CACHE/logs"

	# Nobody reads manuals in this root; without them it is made faster.
	for option in doc man locale info lintian bug help gtk-doc; do
		options+=(--dpkgopt="path-exclude=/usr/share/$option/*")
	done
	# Drivers that no virtual machine has.
	for option in gpu media infiniband net/wireless net/ethernet isdn staging hid iio leds; do
		options+=(--dpkgopt="path-exclude=/usr/lib/modules/*/kernel/drivers/$option/*")
	done
	options+=(--dpkgopt="path-exclude=/usr/lib/modules/*/kernel/sound/*")
	while read -r option; do
		if [ -n "$option" ]; then options+=(--aptopt="$option"); fi
	done < <(host_apt_options)

	say "making a Debian $SUITE root (3 to 5 minutes; log: $log)"
	mkdir -p "$work"
	# shellcheck disable=SC2016 # the hooks are expanded by mmdebstrap
	if ! mmdebstrap --variant=apt --mode="$([ "$(id -u)" = 0 ] && echo root || echo unshare)" \
		--include="$(echo $packages | tr ' ' ',')" \
		--aptopt='Acquire::Languages "none"' \
		--aptopt='Acquire::Retries "3"' \
		--aptopt='APT::Install-Recommends "false"' \
		--dpkgopt=force-unsafe-io \
		"${options[@]}" \
		--skip=cleanup/apt/lists \
		--customize-hook="chroot \"\$1\" bash -s -- '${KVER:-}' < '$SCRIPTS/root-kernel.sh'" \
		--customize-hook="chroot \"\$1\" bash -s < '$SCRIPTS/root-guest.sh'" \
		"$SUITE" "$work" \
		"deb $mirror $SUITE main" \
		"deb $mirror $SUITE-backports main" >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		rm -rf --one-file-system "$work"
		die "the root could not be made" "the whole log is $log" \
			"is the mirror ($mirror) reachable? PBITMAP_MIRROR=URL names another"
	fi
	: >>"$work/etc/resolv.conf" # in-root.sh binds the host's over it
	if [ -e "$root" ]; then
		rm -rf --one-file-system "$root.old"
		mv "$root" "$root.old"
	fi
	mv "$work" "$root"
	rm -rf --one-file-system "$root.old"
	rebuild=
	say "the root is ready: Linux $(. "$root/etc/pbitmap-root" && echo "$KERNEL_RELEASE"), $(du -sh "$root" | cut -f1)"
	prune
}

# Roots are large: keep the few that were used last. One that a running
# in-root.sh holds locked is left alone.
prune() {
	local old
	find "$CACHE" -maxdepth 1 -name 'root-*' -type d -printf '%T@ %p\n' | sort -rn |
		awk -v keep="$KEEP_ROOTS" 'NR > keep { print $2 }' |
		while read -r old; do
			say "removing an old root: $old"
			flock -n "$old" rm -rf --one-file-system "$old" || true
		done
}

if ! finished; then
	with_lock "${root##*/}" build
fi
touch "$root" # used now: see prune
echo "$root"
