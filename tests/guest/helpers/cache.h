/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which pages of a file are in the page cache, and how to get them out.
 *
 * Pages that are still being read count as well: cachestat() sees them, mincore()
 * does not. So what was asked for is there at once, and what was dropped is gone,
 * instead of arriving a moment later.
 */
#ifndef CACHE_H
#define CACHE_H

#include <err.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int cache_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

/* How many of @pages pages from @first on are in the cache; @pages is not 0. */
static inline size_t cache_in_range(int fd, size_t first, size_t pages)
{
	struct cachestat_range range = { first * 4096, pages * 4096 };
	struct cachestat state;

	if (syscall(SYS_cachestat, fd, &range, &state, 0))
		err(2, "cachestat");
	return state.nr_cache;
}

static inline size_t cache_pages(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END); /* of a device too */

	if (size < 0)
		err(2, "lseek");
	return (size + 4095) / 4096;
}

static inline size_t cache_count(const char *path)
{
	int fd = cache_open(path);
	size_t pages = cache_pages(fd);
	size_t count = pages ? cache_in_range(fd, 0, pages) : 0;

	close(fd);
	return count;
}

/* Call @tell for each of @pages pages from @first on that is in the cache. */
static inline void cache_each(int fd, size_t first, size_t pages, void (*tell)(size_t page))
{
	size_t count = pages ? cache_in_range(fd, first, pages) : 0;

	if (count == pages) {
		for (size_t i = 0; i < pages; i++)
			tell(first + i);
	} else if (count) {
		cache_each(fd, first, pages / 2, tell);
		cache_each(fd, first + pages / 2, pages - pages / 2, tell);
	}
}

/* Drop a file's pages; returns how many stay. */
static inline size_t cache_evict(const char *path)
{
	size_t left = 1;

	/* Pages on their way in or out cannot be dropped: wait for them. */
	for (int i = 0; i < 500 && left; i++) {
		int fd = cache_open(path);

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
