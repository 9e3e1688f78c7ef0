// SPDX-License-Identifier: GPL-2.0
/*
 * pages - a program that touches exactly the pages it is told to touch.
 *
 * Beside its one page of code it has three fields of pages, every page with a
 * value of its own: functions (t), constants (r) and variables (d). Arguments
 * are done in order:
 *
 *	t:N  t:A-B  t:A-B/STEP   call the functions on these pages
 *	r:...                    read the constants
 *	d:...                    write the variables (private copies of file pages)
 *	D:...                    read the variables
 *	sum                      print the sum of all values seen so far
 *	exit:N  kill:SIGNAL      end in this way
 *	pause                    sleep until a signal
 *	flood                    print all the constants, as they are in memory
 *	input                    wait for a byte of standard input
 *	msleep:N                 sleep N milliseconds
 *	thread-exit              start a thread that ends the whole process (status 9)
 *	in-thread                do the rest in a thread, while the first one sleeps
 *	exec:PATH                execute PATH without arguments
 *	thread-exec:PATH         the same from a thread
 *	fork                     fork; the child goes on, the parent waits and takes its status
 *	clone-vm                 a child that shares the memory goes on, the parent exits at once
 *	euid                     print the effective user
 *
 * "list" as the first argument prints the file pages that would be touched, a
 * number a line, instead of touching them. Without arguments: status 0.
 */
#include <elf.h>
#include "nolibc.h"

#ifndef TEXT_PAGES
#define TEXT_PAGES 1536
#define RODATA_PAGES 768
#define DATA_PAGES 256
#define PAD_PAGES 64	/* beyond what one read-around of a code page reaches */
#endif

#define STR_(x) #x
#define STR(x) STR_(x)

/* A field of pages; the pad keeps it away from what the program itself uses. */
asm(".section .text.pages, \"ax\", @progbits\n"
    ".balign 4096\n.fill " STR(PAD_PAGES) " * 4096, 1, 0xcc\n"
    "text_pages:\n"
    ".set i, 0\n.rept " STR(TEXT_PAGES) "\n"
    ".balign 4096, 0xcc\n.byte 0xb8\n.long i + 1\n.byte 0xc3\n"
    ".set i, i + 1\n.endr\n"
    ".balign 4096, 0xcc\n.fill " STR(PAD_PAGES) " * 4096, 1, 0xcc\n"
    ".section .rodata.pages, \"a\", @progbits\n"
    ".balign 4096\n.fill " STR(PAD_PAGES) " * 4096, 1, 0xdd\n"
    "rodata_pages:\n"
    ".set i, 0\n.rept " STR(RODATA_PAGES) "\n"
    ".balign 4096, 0xdd\n.long i * 3 + 100000\n"
    ".set i, i + 1\n.endr\n"
    ".balign 4096, 0xdd\n.fill " STR(PAD_PAGES) " * 4096, 1, 0xdd\n"
    ".section .data.pages, \"aw\", @progbits\n"
    ".balign 4096\n"
    "data_pages:\n"
    ".set i, 0\n.rept " STR(DATA_PAGES) "\n"
    ".balign 4096, 0xee\n.long i * 5 + 200000\n"
    ".set i, i + 1\n.endr\n"
    ".balign 4096, 0xee\n.fill " STR(PAD_PAGES) " * 4096, 1, 0xee\n"
    ".text\n");

extern const char text_pages[] __attribute__((visibility("hidden")));
extern const char rodata_pages[] __attribute__((visibility("hidden")));
extern char data_pages[] __attribute__((visibility("hidden")));
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

static unsigned long sum;
static int listing;

static void list_page(const char *address)
{
	const char *base = (const char *)&__ehdr_start;
	const Elf64_Phdr *ph = (const void *)(base + __ehdr_start.e_phoff);
	unsigned long at = __ehdr_start.e_type == ET_DYN ? (unsigned long)(address - base) :
							  (unsigned long)address;

	for (int i = 0; i < __ehdr_start.e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && at - ph[i].p_vaddr < ph[i].p_filesz) {
			put_number((at - ph[i].p_vaddr + ph[i].p_offset) / 4096);
			put("\n");
		}
}

static void touch(char field, unsigned long page)
{
	const char *address;

	switch (field) {
	case 't':
		if (page >= TEXT_PAGES)
			die_now(125);
		address = text_pages + page * 4096;
		break;
	case 'r':
		if (page >= RODATA_PAGES)
			die_now(125);
		address = rodata_pages + page * 4096;
		break;
	default:
		if (page >= DATA_PAGES)
			die_now(125);
		address = data_pages + page * 4096;
	}
	if (listing)
		list_page(address);
	else if (field == 't')
		sum += ((unsigned int (*)(void))address)();
	else if (field == 'd')
		sum += (*(volatile unsigned int *)address)++;
	else
		sum += *(volatile const unsigned int *)address;
}

static void touch_range(char field, const char *range)
{
	unsigned long first, last, step = 1;

	range = get_number(range, &first);
	last = first;
	if (*range == '-')
		range = get_number(range + 1, &last);
	if (*range == '/')
		range = get_number(range + 1, &step);
	if (*range || !step)
		die_now(124);
	for (unsigned long page = first; page <= last; page += step)
		touch(field, page);
}

static void execute(const char *path)
{
	const char *argv[] = { path, NULL };
	const char *envp[] = { NULL };

	syscall3(__NR_execve, path, argv, envp);
	die_now(127);
}

/*
 * A thread, or a child with the same memory, that runs @path, goes on with the
 * arguments @rest, or ends the process.
 */
static char other_stack[16384] __attribute__((aligned(16)));

struct task {
	const char *path;
	int argc;
	char **argv;
};

static int run(int argc, char **argv);

__attribute__((noreturn, used)) static void other_task(const struct task *task)
{
	if (task->path)
		execute(task->path);
	if (task->argv)
		die_now(run(task->argc, task->argv));
	die_now(9);
}

#define SAME_MEMORY 0x111	/* CLONE_VM, SIGCHLD */
#define THREAD 0x10f00		/* CLONE_VM, FS, FILES, SIGHAND, THREAD */

static void start_task(long flags, const struct task *task)
{
	unsigned long *top = (void *)(other_stack + sizeof(other_stack));
	long ret;

	*--top = 0;
	*--top = (unsigned long)task;
	asm volatile("syscall\n\t"
		     "test %%rax, %%rax\n\t"
		     "jnz 1f\n\t"
		     "pop %%rdi\n\t"
		     "call other_task\n"
		     "1:"
		     : "=a"(ret)
		     : "a"(__NR_clone), "D"(flags), "S"(top), "d"(0), "m"(*task)
		     : "rcx", "r11", "memory");
	if (ret < 0)
		die_now(123);
}

static void wait_to_be_killed(void)
{
	for (;;)
		syscall0(__NR_pause);
}

static void fork_and_wait(void)
{
	int status = 0;
	long child = syscall0(__NR_fork);

	if (!child)
		return;
	if (syscall4(__NR_wait4, child, &status, 0, 0) != child)
		die_now(122);
	die_now(status & 0x7f ? 128 + (status & 0x7f) : (status >> 8) & 0xff);
}

static int run(int argc, char **argv)
{
	unsigned long n;

	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (starts_with(arg, "list")) {
			listing = 1;
		} else if (arg[0] && arg[1] == ':') {
			touch_range(arg[0], arg + 2);
		} else if (listing) {
			continue;
		} else if (starts_with(arg, "sum")) {
			put_number(sum);
			put("\n");
		} else if (starts_with(arg, "exit:")) {
			get_number(arg + 5, &n);
			return n;
		} else if (starts_with(arg, "kill:")) {
			get_number(arg + 5, &n);
			syscall2(__NR_kill, syscall0(__NR_getpid), n);
		} else if (starts_with(arg, "pause")) {
			syscall0(__NR_pause);
		} else if (starts_with(arg, "flood")) {
			const char *from = rodata_pages, *end = from + RODATA_PAGES * 4096;
			long written = 1;

			for (; from < end && written > 0; from += written)
				written = syscall3(__NR_write, 1, from, end - from);
		} else if (starts_with(arg, "input")) {
			char byte;

			syscall3(__NR_read, 0, &byte, 1);
		} else if (starts_with(arg, "msleep:")) {
			long ts[2];

			get_number(arg + 7, &n);
			ts[0] = n / 1000;
			ts[1] = n % 1000 * 1000000;
			syscall2(__NR_nanosleep, ts, 0);
		} else if (starts_with(arg, "thread-exit")) {
			start_task(THREAD, &(struct task){ 0 });
			wait_to_be_killed();
		} else if (starts_with(arg, "in-thread")) {
			start_task(THREAD, &(struct task){ .argc = argc - i, .argv = argv + i });
			wait_to_be_killed();
		} else if (starts_with(arg, "exec:")) {
			execute(arg + 5);
		} else if (starts_with(arg, "thread-exec:")) {
			start_task(THREAD, &(struct task){ .path = arg + 12 });
			wait_to_be_killed();
		} else if (starts_with(arg, "clone-vm")) {
			static struct task task;

			task = (struct task){ .argc = argc - i, .argv = argv + i };
			start_task(SAME_MEMORY, &task);
			return 0;
		} else if (starts_with(arg, "euid")) {
			put_number(syscall0(__NR_geteuid));
			put("\n");
		} else if (starts_with(arg, "fork")) {
			fork_and_wait();
		} else {
			return 126;
		}
	}
	return 0;
}

NOLIBC_MAIN
