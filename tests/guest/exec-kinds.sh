#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every way to start a program: those that reach an annotated x86-64 ELF file
# use its bitmap once, the others are left alone, and all of them work as they
# do without the module.
#
# needs: module tool
# smp: 2
# mem: 1G
# timeout: 90

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
chmod 755 "$WORK" "$MNT"
put_program small
put_program small-pie
put_program dynamic
cd "$MNT" || broken "$MNT"

# counts WHAT USED RECORDED STATUS COMMAND...
counts() {
	local what=$1 used=$2 recorded=$3 expected=$4
	shift 4
	mark
	is "$what: status" "$expected" "$(status_of "$@")"
	settle
	is "$what: used, recorded" "$used $recorded" "$(delta used) $(delta recordings)"
}

for way in fexecve fexecve-path execveat vfork spawn clone-vm traced; do
	counts "$way" 1 1 5 execs $way "$MNT/small" t:0-3 exit:5
	counts "$way, PIE" 1 1 5 execs $way "$MNT/small-pie" t:0-3 exit:5
done
counts 'a program with an interpreter and libraries' 1 1 6 ./dynamic 6
cp small temporary
counts 'a file that is deleted before it runs' 1 0 5 execs deleted "$MNT/temporary" t:0-3 exit:5
mark
is 'memfd, a copy in memory: status' 5 "$(status_of execs memfd "$MNT/small" t:0-3 exit:5)"
settle
is 'memfd, a copy in memory: recorded, written' '0 0' "$(delta recordings) $(delta writes)"
mark
is 'AT_EXECVE_CHECK' allowed "$(execs check "$MNT/small")"
is 'AT_EXECVE_CHECK: armed, used' '0 0' "$(delta armed) $(delta used)"

# Scripts: the interpreter is the program.
printf '#!%s exit:7\n' "$MNT/small" >script
printf '#!%s\n' "$MNT/script" >script-of-script
chmod 755 script script-of-script
counts '#!' 1 1 7 execs vfork "$MNT/script"
counts '#! twice' 1 1 7 execs vfork "$MNT/script-of-script"
counts '#! twice, execveat' 1 1 7 execs execveat "$MNT/script-of-script"
printf '#!%s exit:7\n' "$PBITMAP_HELPERS/small" >plain-script
chmod 755 plain-script
counts '#! of a program that is not annotated' 0 0 7 execs vfork "$MNT/plain-script"

# binfmt_misc: the same.
modprobe binfmt_misc 2>/dev/null
misc=/proc/sys/fs/binfmt_misc
[ -e $misc/register ] || mount_at $misc -t binfmt_misc none
printf 'anything' >exit:8.pbt
chmod 755 exit:8.pbt
cp small aarch64
elf machine aarch64 183
cp aarch64 exit:9.aarch64
counts 'another machine, no handler' 0 0 127 execs vfork aarch64
for flags in '' F O; do
	echo ":pbt:E::pbt::$MNT/small:$flags" >$misc/register
	counts "binfmt_misc by extension, flags '$flags'" 1 1 8 execs vfork exit:8.pbt
	echo -1 >$misc/pbt
	echo ":pba:M:18:\\xb7\\x00::$MNT/small:$flags" >$misc/register
	counts "binfmt_misc for another machine, flags '$flags'" 1 1 9 execs vfork exit:9.aarch64
	echo -1 >$misc/pba
done

# ELF files that are not ours, with the marker and a section of our type.
cp "$PBITMAP_HELPERS/true32" true32
elf mark true32
elf section true32
counts '32-bit program with the marker' 0 0 32 ./true32
cp "$PBITMAP_HELPERS/small" marked
elf mark marked
mark
counts 'the marker alone, no section' 0 0 4 ./marked exit:4
at_least 'the marker alone: refused' 1 "$(delta refused_no_section)"

# The dynamic linker does not come through the hook.
cp "$(realpath /lib64/ld-linux-x86-64.so.2)" ld.so
chmod 755 ld.so
ln -sf "$MNT/ld.so" /tmp/pbitmap-test-ld.so
at_the_end 'rm -f /tmp/pbitmap-test-ld.so'
if tool annotate --allow-library ld.so >/dev/null 2>&1; then
	counts 'an annotated dynamic linker' 0 0 3 "$PBITMAP_HELPERS/dynamic-own-ld" 3
	counts 'an annotated dynamic linker as a command' 1 1 3 ./ld.so "$PBITMAP_HELPERS/dynamic" 3
else
	fail 'annotate --allow-library ld.so'
fi

# Privileges come with the file as ever.
cp small suid
chmod 4755 suid
mark
starts -u 1000 -- "$MNT/suid" t:0-3 euid exit:5
is 'setuid: effective user, status' '0 5' "$output $status"
settle
is 'setuid: writes' 0 "$(delta writes)"

# Threads and processes that share memory; execve over execve.
counts 'exit_group() from a thread' 1 1 9 ./small t:0-3 thread-exit
counts 'execve() over execve()' 2 2 0 ./small "exec:$MNT/small-pie"
counts 'execve() of itself' 2 2 0 ./small "exec:$MNT/small"
counts 'execve() from a thread' 2 2 0 ./small-pie t:1 "thread-exec:$MNT/small"
counts 'execve() of a program that is not annotated' 1 1 0 ./small "exec:$PBITMAP_HELPERS/small"
counts 'execve() from one that is not' 1 1 0 "$PBITMAP_HELPERS/small" "exec:$MNT/small"
mark
is 'fork: status of the child' 5 "$(status_of ./small t:0-3 fork t:4-7 exit:5)"
settle
is 'fork: used' 1 "$(delta used)"
at_least 'fork: recorded' 1 "$(delta recordings)"

# The memory lives on in a child: what that touches is recorded as well.
cold
mark
starts -- "$MNT/small" t:1 clone-vm msleep:200 t:3-9/3 sum
settle
is 'clone(CLONE_VM): output, status of the parent' '23 0' "$((output + 0)) $status"
is 'clone(CLONE_VM): used, recorded' '1 1' "$(delta used) $(delta recordings)"
"$PBITMAP_HELPERS/small" list t:3-9/3 | sort >"$WORK/touched"
is 'clone(CLONE_VM): pages of the child that are not recorded' '' \
	"$(comm -23 "$WORK/touched" <(recorded small | sort) | tr '\n' ' ')"
note "$(grown)"
is 'check' '0 0 0' "$(status_of tool check small) $(status_of tool check small-pie) $(status_of tool check dynamic)"
