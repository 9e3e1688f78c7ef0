// SPDX-License-Identifier: GPL-2.0
/*
 * overwrite STATS COUNT FILE A B ARGUMENT... - FILE, a copy of A, is run, and
 * the moment it has ended its user puts B in its place, by turns
 *  - truncating and rewriting it,
 *  - rewriting it without truncating it,
 *  - removing it and making a new one,
 *  - truncating it to half its size.
 * What was recorded of the old program must not get into the new file. Prints
 * "rounds=N spoiled=N failed=N"; A and B change places every round.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/wait.h>
#include "counters.h"
#include "format.h"

static void put(const struct image *image, const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0755);

	if (fd < 0 || pwrite(fd, image->bytes, image->size, 0) != (ssize_t)image->size ||
	    (!flags && ftruncate(fd, image->size)))
		err(2, "%s", path);
	close(fd);
}

int main(int argc, char **argv)
{
	int rounds, spoiled = 0, failed = 0;
	const char *path;
	struct image images[2], now;

	if (argc < 7)
		errx(2, "usage: overwrite STATS COUNT FILE A B ARGUMENT...");
	path = argv[3];
	rounds = atoi(argv[2]);
	images[0] = image_read(argv[4], 0);
	images[1] = image_read(argv[5], 0);
	put(&images[0], path, O_TRUNC);

	for (int i = 0; i < rounds; i++) {
		struct image next = images[!(i & 1)];
		int status;
		pid_t child = vfork();

		if (!child) {
			execv(path, argv + 5);
			_exit(errno);
		}
		if (waitpid(child, &status, 0) != child || status) {
			fprintf(stderr, "round %d: status %#x\n", i, status);
			failed++;
		}
		switch (i / 2 % 4) {
		case 0:
			put(&next, path, O_TRUNC);
			break;
		case 1:
			put(&next, path, 0);
			break;
		case 2:
			unlink(path);
			put(&next, path, O_EXCL);
			break;
		case 3:
			next = image_read(path, 0);
			next.size /= 2;
			if (truncate(path, next.size))
				err(2, "%s", path);
		}
		counters_settle(argv[1], -1, 10000);
		now = image_read(path, 0);
		if (now.size != next.size || memcmp(now.bytes, next.bytes, now.size)) {
			fprintf(stderr, "round %d: the new file is not what was written\n", i);
			spoiled++;
		}
		free(now.bytes);
		put(&images[!(i & 1)], path, O_TRUNC);
	}
	printf("rounds=%d spoiled=%d failed=%d\n", rounds, spoiled, failed);
	return 0;
}
