// SPDX-License-Identifier: GPL-2.0
/*
 * reader [list] FIRST LAST STEP - read a byte of each of these pages of a table of
 * constants and print the sum; with "list" print their pages in the file instead.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES 1024
#define PAGE 4096

/* Away from what the program itself uses. */
static const volatile struct {
	unsigned char before[64][PAGE], table[PAGES][PAGE], after[64][PAGE];
} field __attribute__((aligned(65536))) = {
	.before = { { 1 } },
	.table = { [0 ... PAGES - 1] = { 3 } },
};

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

static unsigned long file_page(unsigned long address)
{
	unsigned long base = (unsigned long)&__ehdr_start;
	const Elf64_Phdr *ph = (const void *)(base + __ehdr_start.e_phoff);

	if (__ehdr_start.e_type == ET_DYN)
		address -= base;
	for (int i = 0; i < __ehdr_start.e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && address - ph[i].p_vaddr < ph[i].p_filesz)
			return (address - ph[i].p_vaddr + ph[i].p_offset) / PAGE;
	exit(3);
}

int main(int argc, char **argv)
{
	int list = argc > 1 && !strcmp(argv[1], "list");
	unsigned long first, last, step, sum = 0;

	if (argc != 4 + list)
		return 2;
	first = strtoul(argv[1 + list], NULL, 10);
	last = strtoul(argv[2 + list], NULL, 10);
	step = strtoul(argv[3 + list], NULL, 10);
	if (last >= PAGES || !step)
		return 2;
	for (unsigned long page = first; page <= last; page += step) {
		if (list)
			printf("%lu\n", file_page((unsigned long)field.table[page]));
		else
			sum += field.table[page][0] + page;
	}
	if (!list)
		printf("%lu\n", sum);
	return 0;
}
