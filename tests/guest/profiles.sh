#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# One binary with several modes keeps several bitmaps: by the name that it is
# started under, by its first argument, or by the script that it runs. A mode
# that was never seen gets what the last two have in common.
#
# needs: module tool
# smp: 1
# mem: 2G
# timeout: 200

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
use_real_files "$MNT"

run() { # in the root of the real programs
	chroot "$MNT" "$@" >/dev/null || fail "status $? of $*"
	settle
}
keys() { tool show --json "$1" | python3 -c '
import json, sys
print(*sorted(profile["key"] for profile in json.load(sys.stdin)["profiles"] if profile["runs"]))'; }
wanted() { tool show --json "$1" | python3 -c '
import json, sys
for profile in json.load(sys.stdin)["profiles"]:
    if profile["key"] == sys.argv[1]:
        print(sum(file["wanted"] for file in profile["files"]))' "$2"; }

# By name: busybox and its links.
busybox=$MNT/usr/bin/busybox
annotate "$busybox"
for name in echo sort; do ln -s busybox "$MNT/usr/bin/$name"; done
run /usr/bin/echo one
echo b >"$MNT/tmp/lines"
run /usr/bin/sort /tmp/lines
run /usr/bin/busybox sha256sum /tmp/lines
is 'busybox: profiles' 'busybox echo sort' "$(keys "$busybox")"
recorded=$(wanted "$busybox" echo)
mark
run /usr/bin/echo one
is 'busybox: pages wanted for echo, as recorded for echo' "$recorded" "$(delta pages_wanted)"
# (two starts of it may differ by a page)
at_most 'busybox: wasted' 1 "$(delta waste)"
# More names than there is room for: the one that was used last the longest ago goes.
for name in head cut tr; do
	ln -s busybox "$MNT/usr/bin/$name"
	sleep 1.1
	run "/usr/bin/$name" --help
done
is 'busybox: profiles are bounded' 4 "$(keys "$busybox" | wc -w)"
holds 'busybox: the last one is kept' grep -qw tr <<<"$(keys "$busybox")"
mark
run /usr/bin/busybox true
at_least 'busybox, an unknown mode: pages wanted' 5 "$(delta pages_wanted)"

# By the first argument: git's commands.
git=$MNT/usr/bin/git
annotate --profile-by arg1 "$git"
export GIT_CONFIG_NOSYSTEM=1 HOME=/tmp
run /usr/bin/git init -q /tmp/repository
export GIT_DIR=/tmp/repository/.git GIT_WORK_TREE=/tmp/repository
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
run /usr/bin/git commit -q --allow-empty -m one
for i in 1 2; do
	run /usr/bin/git status
	run /usr/bin/git log
done
run /usr/bin/git --version
is 'git: profiles of two commands' 'log status' "$(keys "$git" | tr ' ' '\n' | grep -xE 'log|status' | xargs)"
log=$(wanted "$git" log)
mark
run /usr/bin/git log
is 'git: pages wanted for log, as recorded for log' "$log" "$(delta pages_wanted)"
at_most 'git: pages wasted' $((log / 20)) "$(delta waste)"

# By the script: python3 with two very different ones.
python=$(realpath /usr/bin/python3)
annotate --profile-by script "$MNT$python"
echo 'print(sum(range(10)))' >"$MNT/tmp/small.py"
echo 'import json, sqlite3, asyncio; print(json.dumps([1]))' >"$MNT/tmp/large.py"
printf '#!%s -B\nprint(1)\n' "$python" >"$MNT/tmp/script"
chmod 755 "$MNT/tmp/script"
for i in 1 2; do
	run "$python" -B /tmp/small.py
	run "$python" -B /tmp/large.py
done
run /tmp/script
is 'python3: profiles' '/tmp/large.py /tmp/script /tmp/small.py' "$(keys "$MNT$python")"
small=$(wanted "$MNT$python" /tmp/small.py)
large=$(wanted "$MNT$python" /tmp/large.py)
at_least "python3: the large script wants more than the small one, $small" $((small + 200)) "$large"
mark
run "$python" -B /tmp/small.py
is 'python3: pages wanted for the small script' "$small" "$(delta pages_wanted)"
at_most 'python3: pages wasted' $((small / 20)) "$(delta waste)"
echo 'print(2)' >"$MNT/tmp/unknown.py"
mark
run "$python" -B /tmp/unknown.py
at_most 'python3, an unknown script: no more than the small one wants' "$small" "$(delta pages_wanted)"
at_least 'python3, an unknown script: what all have' 100 "$(delta pages_wanted)"
is 'check' '0 0 0' "$(status_of tool check "$busybox") $(status_of tool check "$git") $(status_of tool check "$MNT$python")"
