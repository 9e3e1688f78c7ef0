/* SPDX-License-Identifier: GPL-2.0 */
/* Which pages of a file are in the page cache, and how to get them out. */
#ifndef CACHE_H
#define CACHE_H

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* One byte a page, bit 0 for "in the cache"; the caller frees it. */
static inline unsigned char *cache_state(const char *path, size_t *pages)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *state;
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", path);
	*pages = (st.st_size + 4095) / 4096;
	state = calloc(*pages + 1, 1);
	if (!state)
		err(2, "calloc");
	if (*pages) {
		map = mmap(NULL, *pages * 4096, PROT_READ, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED || mincore(map, *pages * 4096, state))
			err(2, "%s: mincore", path);
		munmap(map, *pages * 4096);
	}
	close(fd);
	return state;
}

static inline size_t cache_count(const char *path)
{
	size_t pages, count = 0;
	unsigned char *state = cache_state(path, &pages);

	for (size_t i = 0; i < pages; i++)
		count += state[i] & 1;
	free(state);
	return count;
}

/* Drop a file's pages; returns how many stay. */
static inline size_t cache_evict(const char *path)
{
	size_t left = 1;

	/* Pages on their way in or out cannot be dropped: wait for them. */
	for (int i = 0; i < 50 && left; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			err(2, "%s", path);
		fsync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
		left = cache_count(path);
		if (left)
			usleep(20000);
	}
	return left;
}

#endif
