// SPDX-License-Identifier: GPL-2.0
/*
 * shrink - files that change while programs that map them start.
 *
 *	shrink touch DATA       map DATA and read each of its pages
 *	shrink map DATA         map DATA, read none
 *	shrink cut COUNT DATA PROGRAM
 *	                        run "PROGRAM map DATA" COUNT times, while DATA is cut
 *	                        to nothing, or to half, and made as long again with its
 *	                        old time of modification, all the time
 *	shrink replace COUNT PROGRAM A B
 *	                        run "PROGRAM map PROGRAM" COUNT times, while links to A
 *	                        and to B are moved to PROGRAM by turns
 *
 * The last two print "ok=N failed=N"; and to standard error how often the file
 * was changed meanwhile.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile struct {
	int changes, over;
} *shared;

static void map(const char *path, int touch)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const volatile char *bytes;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", path);
	if (!st.st_size)
		return;
	bytes = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		err(2, "%s", path);
	for (off_t at = 0; touch && at < st.st_size; at += 4096)
		(void)bytes[at];
}

static void cut(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct timespec times[2];
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", path);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	for (; !shared->over; shared->changes++) {
		if (ftruncate(fd, shared->changes & 1 ? st.st_size / 2 : 0) ||
		    ftruncate(fd, st.st_size) || futimens(fd, times))
			err(2, "%s", path);
		/* For as long as a start takes to find it whole. */
		usleep(rand() % 8192);
	}
}

static void replace(const char *path, char **with)
{
	char next[4096];

	snprintf(next, sizeof(next), "%s.next", path);
	for (; !shared->over; shared->changes++)
		if (link(with[shared->changes & 1], next) || rename(next, path))
			err(2, "%s", path);
}

int main(int argc, char **argv)
{
	int ok = 0, failed = 0, status;
	const char *program, *data;
	pid_t other, child;

	if (argc == 3) {
		map(argv[2], !strcmp(argv[1], "touch"));
		return 0;
	}
	if (argc < 5)
		errx(2, "usage: see shrink.c");
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(2, "mmap");
	data = argv[3];
	program = strcmp(argv[1], "cut") ? argv[3] : argv[4];
	other = fork();
	if (!other) {
		if (strcmp(argv[1], "cut"))
			replace(program, argv + 4);
		else
			cut(data);
		return 0;
	}
	for (int i = atoi(argv[2]); i > 0; i--) {
		child = vfork();
		if (!child) {
			execl(program, program, "map", data, NULL);
			_exit(errno);
		}
		if (waitpid(child, &status, 0) == child && !status) {
			ok++;
		} else {
			failed++;
			fprintf(stderr, "status %#x\n", status);
		}
	}
	shared->over = 1;
	if (waitpid(other, &status, 0) != other || status)
		errx(2, "the other process: status %#x", status);
	fprintf(stderr, "changes=%d\n", shared->changes);
	printf("ok=%d failed=%d\n", ok, failed);
	return 0;
}
