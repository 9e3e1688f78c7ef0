/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few system calls that the test programs need, without a C library: such
 * a program touches only the pages that its source says, starts within a few
 * hundred microseconds even under software emulation, and is small.
 */
#ifndef NOLIBC_H
#define NOLIBC_H

#include <stddef.h>
#include <asm/unistd_64.h>

static inline long syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return ret;
}

#define syscall0(nr) syscall6(nr, 0, 0, 0, 0, 0, 0)
#define syscall1(nr, a) syscall6(nr, (long)(a), 0, 0, 0, 0, 0)
#define syscall2(nr, a, b) syscall6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define syscall3(nr, a, b, c) syscall6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define syscall4(nr, a, b, c, d) \
	syscall6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

__attribute__((noreturn)) static inline void die_now(int status)
{
	for (;;)
		syscall1(__NR_exit_group, status);
}

static inline size_t length(const char *s)
{
	size_t n = 0;

	while (s[n]) {
		asm volatile("" ::: "memory"); /* not a call of strlen() */
		n++;
	}
	return n;
}

static inline void put(const char *s)
{
	syscall3(__NR_write, 1, s, length(s));
}

static inline void put_number(unsigned long n)
{
	char digits[24];
	char *p = digits + sizeof(digits) - 1;

	*p = 0;
	do {
		*--p = '0' + n % 10;
		n /= 10;
	} while (n);
	put(p);
}

static inline const char *get_number(const char *s, unsigned long *n)
{
	*n = 0;
	while (*s >= '0' && *s <= '9')
		*n = *n * 10 + (*s++ - '0');
	return s;
}

static inline int starts_with(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return 0;
	return 1;
}

/* The entry point: main(argc, argv) gets what the kernel put on the stack. */
__attribute__((noreturn, used)) static void start_c(long *stack);
#define NOLIBC_MAIN							\
	asm(".text\n.globl _start\n_start:\n"				\
	    "xor %ebp, %ebp\nmov %rsp, %rdi\nand $-16, %rsp\ncall start_c\n"); \
	static void start_c(long *stack)				\
	{								\
		die_now(run((int)stack[0], (char **)(stack + 1)));	\
	}

#endif
