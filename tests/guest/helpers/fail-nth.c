// SPDX-License-Identifier: GPL-2.0
/*
 * fail-nth - let the Nth allocation fail (Documentation/fault-injection of the kernel).
 *
 *	fail-nth [-t TEMPLATE WHERE] [-w] [-e FILE]... -r ROOT -s STATS N PROGRAM ARGUMENT...
 *	                                 of a new task, from just before execve() to its end,
 *	                                 or with -w of each of the kernel's worker threads
 *	                                 meanwhile, until the module has nothing left to do.
 *	                                 ROOT is the program's root directory. Before that
 *	                                 WHERE is made a copy of TEMPLATE, or removed if there
 *	                                 is none, and each FILE is dropped from memory. After
 *	                                 what the program prints comes a line with its status, the
 *	                                 module's writes and failed writes, and 1 if a worker
 *	                                 thread appeared that was not told to fail, else 0
 *	fail-nth -i N MODULE.ko NAME     of this task, while it inserts the module, which is
 *	                                 then removed; the status is 0, or the error's number
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
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "cache.h"
#include "counters.h"

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

/* Returns the number of the youngest. */
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
	closedir(proc);
	if (!youngest)
		errx(2, "no worker thread");
	return youngest;
}

static int insert(const char *n, const char *module, const char *name)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC), error;

	if (fd < 0)
		err(2, "%s", module);
	if (!set("thread-self", n))
		err(2, "fail-nth");
	error = syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
	set("thread-self", "0");
	if (!error && syscall(SYS_delete_module, name, 0))
		err(2, "%s", name);
	return error;
}

/* A new file with the bytes, the mode and the bitmap of @template, if there is one. */
static void copy(const char *template, const char *where)
{
	int from = open(template, O_RDONLY | O_CLOEXEC), to;
	static char data[1 << 16];
	struct stat stat;
	ssize_t got;

	if (unlink(where) && errno != ENOENT)
		err(2, "%s", where);
	if (from < 0 && errno == ENOENT)
		return;
	if (from < 0 || fstat(from, &stat))
		err(2, "%s", template);
	to = open(where, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, stat.st_mode & 07777);
	if (to < 0)
		err(2, "%s", where);
	while ((got = read(from, data, sizeof(data))) > 0)
		if (write(to, data, got) != got)
			err(2, "%s", where);
	if (got < 0)
		err(2, "%s", template);
	got = fgetxattr(from, "user.pbitmap", data, sizeof(data));
	if (got >= 0 && fsetxattr(to, "user.pbitmap", data, got, 0))
		err(2, "%s: user.pbitmap", where);
	close(from);
	close(to);
}

static pid_t start(const char *root, const char *n, char **command)
{
	pid_t child = fork();
	int fd;

	if (child < 0)
		err(2, "fork");
	if (child)
		return child;
	/* (there may be no /proc in the new root) */
	fd = open_of("thread-self", "fail-nth", O_WRONLY);
	if (fd < 0 || chroot(root) || chdir("/"))
		err(2, "%s", root);
	if (write(fd, n, strlen(n)) < 0)
		err(2, "fail-nth");
	execv(command[0], command);
	err(127, "%s", command[0]);
}

int main(int argc, char **argv)
{
	const char *root = NULL, *stats = NULL, *n;
	int option, status, of_workers = 0, youngest = 0, new_worker = 0;
	struct counters counters;
	pid_t child;

	while ((option = getopt(argc, argv, "+i:t:wr:e:s:")) != -1)
		switch (option) {
		case 'i':
			if (argc - optind != 2)
				goto usage;
			return insert(optarg, argv[optind], argv[optind + 1]);
		case 't':
			if (optind >= argc)
				goto usage;
			copy(optarg, argv[optind++]);
			break;
		case 'w':
			of_workers = 1;
			break;
		case 'r':
			root = optarg;
			break;
		case 'e':
			if (cache_evict(optarg))
				errx(2, "%s: pages stay in the cache", optarg);
			break;
		case 's':
			stats = optarg;
			break;
		default:
			goto usage;
		}
	if (!root || !stats || argc - optind < 2)
		goto usage;
	n = argv[optind++];
	if (of_workers)
		youngest = workers(n);
	child = start(root, of_workers ? "0" : n, argv + optind);
	if (waitpid(child, &status, 0) != child)
		err(2, "wait");
	if (counters_settle(stats, 0, 60000))
		errx(2, "the module does not settle");
	if (of_workers)
		new_worker = workers("0") != youngest;
	counters_read(stats, &counters);
	printf("\n%d %lld %lld %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
	       counters_sum(&counters, "writes"), counters_sum(&counters, "write_failed"), new_worker);
	return 0;
usage:
	errx(2, "usage: fail-nth [-t TEMPLATE WHERE] [-w] [-e FILE]... -r ROOT -s STATS N PROGRAM ARGUMENT... | -i N MODULE.ko NAME");
}
