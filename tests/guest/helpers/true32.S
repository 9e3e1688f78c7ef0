/* SPDX-License-Identifier: GPL-2.0 */
/* true32 - a 32-bit program that ends with status 32. */
	.globl _start
_start:
	movl $1, %eax	/* exit */
	movl $32, %ebx
	int $0x80
	.section .note.GNU-stack, "", @progbits
