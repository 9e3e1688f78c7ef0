# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Which allocations fail, on the debug kernel. Sourced, after lib.sh.
#
# An allocation fails if it is the Nth, since fail-nth was set, that had a
# function of the chosen range on its stack: what programs and the rest of the
# kernel allocate for themselves never fails, and whatever goes wrong then is the
# module's doing.

INJECTORS='failslab fail_page_alloc fail_mempool_alloc fail_mempool_alloc_bulk'
BUDGET=1000000 # failures; what is left of it says how many there were

# inject_into START END - where the stack has to have been
inject_into() {
	local injector dir
	for injector in $INJECTORS; do
		dir=/sys/kernel/debug/$injector
		[ -e "$dir/require-start" ] || broken "$dir: the kernel cannot inject failures by stack"
		echo "$1" >"$dir/require-start"
		echo "$2" >"$dir/require-end"
		echo 0 >"$dir/verbose"
		echo 0 >"$dir/probability"
		echo $BUDGET >"$dir/times"
	done
	# (also those that could wait for memory, and single pages)
	echo N >/sys/kernel/debug/failslab/ignore-gfp-wait
	echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait
	echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
	echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
}

# inject_into_module - while it is loaded: its own functions
inject_into_module() {
	local size start
	read -r _ size _ _ _ start _ < <(grep '^pbitmap ' /proc/modules)
	inject_into "$start" "$(printf '0x%x' $((start + size)))"
}

# inject_into_insertion - what a module's init function calls
inject_into_insertion() {
	local start end
	start=0x$(awk '$3 == "do_one_initcall" { print $1 }' /proc/kallsyms)
	end=0x$(awk '{ print $1 }' /proc/kallsyms | sort -u | awk -v start="${start#0x}" '$1 > start { print $1; exit }')
	inject_into "$start" "$end"
}

# count_injected - failures since inject_into, in $injected (without a process: they are slow here)
count_injected() {
	local injector left
	injected=0
	for injector in $INJECTORS; do
		read -r left <"/sys/kernel/debug/$injector/times"
		injected=$((injected + BUDGET - left))
	done
}

# leaked - what nobody points to any more. A thing counts only once it was found
# twice, and not in its first seconds.
leaked() {
	local leaks=/sys/kernel/debug/kmemleak
	sleep 6
	echo scan >$leaks
	echo scan >$leaks
	cat $leaks
}
