// SPDX-License-Identifier: GPL-2.0
/*
 * resident FILE - the numbers of the file's pages that are in the page cache, or
 *                 are being read
 * resident -c FILE - how many there are
 * resident -e FILE - drop them (status 1 if some stay)
 */
#include <stdio.h>
#include <string.h>
#include "cache.h"

static void print(size_t page)
{
	printf("%zu\n", page);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc == 3 && !strcmp(argv[1], "-e"))
		return cache_evict(argv[2]) != 0;
	if (argc == 3 && !strcmp(argv[1], "-c"))
		return printf("%zu\n", cache_count(argv[2])) < 0;
	if (argc != 2)
		errx(2, "usage: resident [-c|-e] FILE");
	fd = cache_open(argv[1]);
	cache_each(fd, 0, cache_pages(fd), print);
	return 0;
}
