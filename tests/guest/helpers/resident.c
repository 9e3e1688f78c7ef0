// SPDX-License-Identifier: GPL-2.0
/*
 * resident FILE - the numbers of the file's pages that are in the page cache
 * resident -c FILE - how many there are
 * resident -e FILE - drop them (status 1 if some stay)
 */
#include <stdio.h>
#include <string.h>
#include "cache.h"

int main(int argc, char **argv)
{
	unsigned char *state;
	size_t pages;

	if (argc == 3 && !strcmp(argv[1], "-e"))
		return cache_evict(argv[2]) != 0;
	if (argc == 3 && !strcmp(argv[1], "-c"))
		return printf("%zu\n", cache_count(argv[2])) < 0;
	if (argc != 2)
		errx(2, "usage: resident [-c|-e] FILE");
	state = cache_state(argv[1], &pages);
	for (size_t i = 0; i < pages; i++)
		if (state[i] & 1)
			printf("%zu\n", i);
	return 0;
}
