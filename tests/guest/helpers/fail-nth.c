// SPDX-License-Identifier: GPL-2.0
/*
 * fail-nth - let the Nth allocation fail (Documentation/fault-injection of the kernel).
 *
 *	fail-nth -r ROOT -e FILE N PROGRAM ARGUMENT...
 *	                                 of this task, from just before execve() to its end;
 *	                                 ROOT is the program's root directory, FILE is
 *	                                 dropped from memory first
 *	fail-nth -i N MODULE.ko          of this task, while it inserts the module; the
 *	                                 status is 0, or the error's number
 *	fail-nth -w N                    of each of the kernel's worker threads, from now on;
 *	                                 prints the number of the youngest
 *
 * N is 0 for none. Which allocations count is set in debugfs (fault-injection.sh).
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "cache.h"

static int open_of(const char *task, const char *name, int flags)
{
	char path[300];

	snprintf(path, sizeof(path), "/proc/%s/%s", task, name);
	return open(path, flags | O_CLOEXEC);
}

/* Returns whether there was such a task. */
static int set(const char *task, const char *n)
{
	int fd = open_of(task, "fail-nth", O_WRONLY), written;

	if (fd < 0)
		return 0;
	written = write(fd, n, strlen(n));
	close(fd);
	return written > 0;
}

static int is_worker(const char *task)
{
	int fd = open_of(task, "comm", O_RDONLY), got;
	char name[16] = "";

	if (fd < 0)
		return 0;
	got = read(fd, name, sizeof(name) - 1);
	close(fd);
	return got > 0 && !strncmp(name, "kworker", 7);
}

static int workers(const char *n)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int youngest = 0;

	if (!proc)
		err(2, "/proc");
	while ((entry = readdir(proc)))
		if (isdigit(entry->d_name[0]) && is_worker(entry->d_name) &&
		    set(entry->d_name, n) && atoi(entry->d_name) > youngest)
			youngest = atoi(entry->d_name);
	if (!youngest)
		errx(2, "no worker thread");
	printf("%d\n", youngest);
	return 0;
}

static int insert(const char *n, const char *module)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC), error;

	if (fd < 0)
		err(2, "%s", module);
	if (!set("thread-self", n))
		err(2, "fail-nth");
	error = syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
	set("thread-self", "0");
	return error;
}

static void run(const char *root, const char *file, const char *n, char **command)
{
	/* (there may be no /proc in the new root) */
	int fd = open_of("thread-self", "fail-nth", O_WRONLY);

	if (cache_evict(file))
		errx(2, "%s: pages stay in the cache", file);
	if (fd < 0 || chroot(root) || chdir("/"))
		err(2, "%s", root);
	if (write(fd, n, strlen(n)) < 0)
		err(2, "fail-nth");
	execv(command[0], command);
	err(127, "%s", command[0]);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "-i"))
		return insert(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "-w"))
		return workers(argv[2]);
	if (argc < 7 || strcmp(argv[1], "-r") || strcmp(argv[3], "-e"))
		errx(2, "usage: fail-nth -r ROOT -e FILE N PROGRAM ARGUMENT... | -i N MODULE | -w N");
	run(argv[2], argv[4], argv[5], argv + 6);
}
