#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: rustfmt.sh [--check]
#
# Formats every Rust file of the checkout as the kernel does (.rustfmt.toml), or
# says which are not.

. "$(dirname "$0")/lib.sh"

case ${1:-} in
"" | --check) ;;
*)
	usage "$0"
	exit 2
	;;
esac
cd "$SRC"
source_files '*.rs' | xargs rustfmt --edition 2021 "$@"
