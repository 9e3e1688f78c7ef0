// SPDX-License-Identifier: GPL-2.0
/*
 * launch - run a program and say what its start cost.
 *
 *	launch [-d] [-e FILE]... [-r ROOT] [-u UID] [-o OUT] -- PROGRAM ARGUMENT...
 *
 *	-d        drop all caches first (sync, drop_caches)
 *	-e FILE   drop only this file from the page cache, and insist on it
 *	-r ROOT   run it with this root directory
 *	-u UID    run as this user and group, without capabilities
 *	-o OUT    write the result to OUT as shell assignments (default: standard error)
 *
 * The result is majflt, minflt and status (128 + signal for a signal) of the
 * program and of all it left behind: launch is a subreaper and waits for all.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cache.h"

int main(int argc, char **argv)
{
	const char *evict[16], *root = NULL;
	int evicts = 0, drop = 0, opt, status = -1, st;
	struct rusage sum = { 0 }, usage;
	FILE *out = stderr;
	uid_t uid = 0;
	pid_t child, pid;

	while ((opt = getopt(argc, argv, "+de:r:u:o:")) != -1) {
		switch (opt) {
		case 'd':
			drop = 1;
			break;
		case 'e':
			if (evicts == 16)
				errx(2, "too many -e");
			evict[evicts++] = optarg;
			break;
		case 'r':
			root = optarg;
			break;
		case 'u':
			uid = atoi(optarg);
			break;
		case 'o':
			out = fopen(optarg, "we");
			if (!out)
				err(2, "%s", optarg);
			break;
		default:
			return 2;
		}
	}
	if (optind == argc)
		errx(2, "no program");

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* What runs between fork() and execve() must not count as the program's faults. */
	if (mlockall(MCL_CURRENT))
		err(2, "mlockall");
	if (drop) {
		sync();
		int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

		if (fd < 0 || write(fd, "3", 1) != 1)
			err(2, "drop_caches");
		close(fd);
	}
	for (int i = 0; i < evicts; i++)
		if (cache_evict(evict[i]))
			errx(2, "%s: pages stay in the cache", evict[i]);

	child = fork();
	if (child < 0)
		err(2, "fork");
	if (!child) {
		if (root && (chroot(root) || chdir("/")))
			err(126, "%s", root);
		if (uid && (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
			    setresuid(uid, uid, uid)))
			err(126, "user %d", uid);
		execvp(argv[optind], argv + optind);
		err(127, "%s", argv[optind]);
	}
	while ((pid = wait4(-1, &st, 0, &usage)) > 0) {
		sum.ru_majflt += usage.ru_majflt;
		sum.ru_minflt += usage.ru_minflt;
		if (pid == child)
			status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
	}
	fprintf(out, "majflt=%ld minflt=%ld status=%d\n", sum.ru_majflt, sum.ru_minflt, status);
	return 0;
}
