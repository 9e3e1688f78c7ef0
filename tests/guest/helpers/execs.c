// SPDX-License-Identifier: GPL-2.0
/*
 * execs - start a program in every way that Linux knows.
 *
 *	execs WAY [COUNT] PROGRAM ARGUMENT...
 *
 * Ways that start it once (the exit status is the program's, 128 + signal):
 *	fexecve       execveat() of an open file
 *	fexecve-path  the same of a file opened with O_PATH
 *	execveat      execveat() relative to an open directory
 *	vfork         vfork() and execve()
 *	spawn         posix_spawn()
 *	clone-vm      clone(CLONE_VM) without CLONE_VFORK and CLONE_THREAD
 *	memfd         of a copy in a memfd
 *	deleted       of a file that is unlinked while it is open
 *	traced        under ptrace: a stop at execve(), then 100 single steps
 *	e2big         with more arguments than fit; prints the error's name
 *	check         AT_EXECVE_CHECK only; prints what it said
 *
 * Ways that start it COUNT times and print "ok=N killed=N ETXTBSY=N other=N":
 *	loop          one after the other, vfork
 *	loop-or       the same; every second time only up to the argument "--"
 *	loop-open     as loop-or, and open the file for writing after each end
 *	loop-try      the same with O_NONBLOCK, until it does not say EAGAIN, a
 *	              second at most
 *	kill-storm    SIGKILL at a random moment around execve()
 *	stop-storm    SIGSTOP and SIGCONT all the time around execve()
 *	winch-storm   caught signals all the time around execve()
 *	thread-race   four threads call execve() at once
 *
 * ok counts exit status 0; killed counts deaths by SIGKILL.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000
#endif

static char **environment;

static int wait_for(pid_t child)
{
	int status;

	if (waitpid(child, &status, __WALL) != child)
		err(2, "waitpid");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int execute_fd(int fd, const char *path, char **argv, int flags)
{
	if (fd < 0)
		err(2, "%s", argv[0]);
	syscall(SYS_execveat, fd, path, argv, environment, flags);
	return errno;
}

static int copy_to(int to, const char *path)
{
	static char buffer[1 << 16];
	int from = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (from < 0 || to < 0)
		err(2, "%s", path);
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, n) != n)
			err(2, "write");
	close(from);
	return to;
}

static char clone_stack[65536] __attribute__((aligned(16)));

static int clone_child(void *argv)
{
	execve(*(char **)argv, argv, environment);
	_exit(127);
}

static int traced(char **argv)
{
	pid_t child = fork();
	int status, steps = 0;

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		execve(argv[0], argv, environment);
		_exit(127);
	}
	while (waitpid(child, &status, 0) == child && WIFSTOPPED(status))
		ptrace(steps++ < 100 ? PTRACE_SINGLESTEP : PTRACE_CONT, child, 0, 0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int too_big(char **argv)
{
	static char big[100000];
	char *many[200];

	memset(big, 'x', sizeof(big) - 1);
	many[0] = argv[0];
	for (int i = 1; i < 199; i++)
		many[i] = big;
	many[199] = NULL;
	execve(argv[0], many, environment);
	printf("%s\n", strerrorname_np(errno));
	return 0;
}

static int once(const char *way, char **argv)
{
	posix_spawn_file_actions_t *none = NULL;
	pid_t child;
	int fd;

	if (!strcmp(way, "vfork")) {
		child = vfork();
		if (!child) {
			execve(argv[0], argv, environment);
			_exit(127);
		}
		return wait_for(child);
	}
	if (!strcmp(way, "spawn")) {
		errno = posix_spawn(&child, argv[0], none, NULL, argv, environment);
		if (errno)
			err(127, "posix_spawn");
		return wait_for(child);
	}
	if (!strcmp(way, "clone-vm")) {
		child = clone(clone_child, clone_stack + sizeof(clone_stack),
			      CLONE_VM | SIGCHLD, argv);
		return wait_for(child);
	}
	if (!strcmp(way, "traced"))
		return traced(argv);
	if (!strcmp(way, "e2big"))
		return too_big(argv);
	if (!strcmp(way, "check")) {
		fd = open(argv[0], O_RDONLY | O_CLOEXEC);
		errno = 0;
		if (syscall(SYS_execveat, fd, "", argv, environment,
			    AT_EMPTY_PATH | AT_EXECVE_CHECK))
			puts(strerrorname_np(errno));
		else
			puts("allowed");
		return 0;
	}

	if (!strcmp(way, "fexecve")) {
		errno = execute_fd(open(argv[0], O_RDONLY | O_CLOEXEC), "", argv, AT_EMPTY_PATH);
	} else if (!strcmp(way, "fexecve-path")) {
		errno = execute_fd(open(argv[0], O_PATH | O_CLOEXEC), "", argv, AT_EMPTY_PATH);
	} else if (!strcmp(way, "execveat")) {
		char *a = strdup(argv[0]), *b = strdup(argv[0]);

		errno = execute_fd(open(dirname(a), O_PATH), basename(b), argv, 0);
	} else if (!strcmp(way, "memfd")) {
		fd = copy_to(memfd_create("program", MFD_CLOEXEC), argv[0]);
		errno = execute_fd(fd, "", argv, AT_EMPTY_PATH);
	} else if (!strcmp(way, "deleted")) {
		fd = open(argv[0], O_RDONLY | O_CLOEXEC);
		unlink(argv[0]);
		errno = execute_fd(fd, "", argv, AT_EMPTY_PATH);
	} else {
		errx(2, "no such way: %s", way);
	}
	warn("%s %s", way, argv[0]);
	return 127;
}

static int ok, killed, busy, other;

static void count(int status, int error)
{
	if (error == ETXTBSY)
		busy++;
	else if (error)
		other++;
	else if (status == 128 + SIGKILL)
		killed++;
	else if (status == 0)
		ok++;
	else
		other++;
	if (error && error != ETXTBSY)
		fprintf(stderr, "execve: %s\n", strerrorname_np(error));
	else if (!error && status && status != 128 + SIGKILL)
		fprintf(stderr, "status %d\n", status);
}

static void start_vfork(char **argv)
{
	volatile int error = 0;
	pid_t child = vfork();

	if (!child) {
		execve(argv[0], argv, environment);
		error = errno;
		_exit(0);
	}
	count(wait_for(child), error);
}

static void nothing(int signal)
{
	(void)signal;
}

/* Nothing runs the file any more, so nothing may be in the way. */
static void open_for_write(const char *path, int flags)
{
	int fd, tries = 1000;

	while ((fd = open(path, O_WRONLY | O_CLOEXEC | flags)) < 0 && errno == EAGAIN && --tries)
		usleep(1000);
	if (fd < 0)
		count(0, errno);
	else
		close(fd);
}

static long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/*
 * A child that calls execve() while its parent sends it signals: @tries times,
 * at random moments within the @usual_us that a start takes.
 */
static void start_under_fire(char **argv, const int *signals, int tries, long usual_us,
			     unsigned int *seed)
{
	pid_t child = fork();
	int status = 0;

	if (child < 0)
		err(2, "fork");
	if (!child) {
		signal(SIGWINCH, nothing);
		execve(argv[0], argv, environment);
		_exit(errno == ETXTBSY ? 121 : 122);
	}
	for (int i = 0; i < tries; i++) {
		long until = now_us() + rand_r(seed) % (usual_us / tries + 1);

		while (now_us() < until)
			;
		for (const int *s = signals; *s; s++)
			kill(child, *s);
		if (waitpid(child, &status, WNOHANG) == child)
			goto ended;
	}
	kill(child, SIGCONT);
	if (waitpid(child, &status, 0) != child)
		err(2, "waitpid");
ended:
	status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	count(status == 121 || status == 122 ? 0 : status,
	      status == 121 ? ETXTBSY : status == 122 ? EIO : 0);
}

static pthread_barrier_t barrier;

static void *race(void *argv)
{
	pthread_barrier_wait(&barrier);
	execve(*(char **)argv, argv, environment);
	/* A loser is normally killed inside execve(); it may also just fail. */
	for (;;)
		pause();
	return NULL;
}

static void start_race(char **argv)
{
	pid_t child = fork();

	if (!child) {
		pthread_t t[4];

		pthread_barrier_init(&barrier, NULL, 4);
		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, race, argv);
		for (;;)
			pause();
	}
	count(wait_for(child), 0);
}

int main(int argc, char **argv, char **envp)
{
	static const int kill_it[] = { SIGKILL, 0 };
	static const int stop_it[] = { SIGSTOP, SIGCONT, 0 };
	static const int bother_it[] = { SIGWINCH, 0 };
	unsigned int seed = 12345;
	char **program, *way, **split = NULL;
	long usual_us;
	int times;

	environment = envp;
	if (argc < 3)
		errx(2, "usage: execs WAY [COUNT] PROGRAM ARGUMENT...");
	way = argv[1];
	times = atoi(argv[2]);
	if (!times)
		return once(way, argv + 2);
	if (argc < 4)
		errx(2, "no program");
	program = argv + 3;
	for (char **a = program; *a; a++)
		if (!strcmp(*a, "--"))
			split = a;

	if (split)
		*split = NULL;
	usual_us = now_us();
	for (int i = 0; i < 5; i++)
		start_under_fire(program, (const int[]){ 0 }, 0, 0, &seed);
	usual_us = (now_us() - usual_us) / 4;
	ok = killed = busy = other = 0;

	for (int i = 0; i < times; i++) {
		if (!strcmp(way, "loop")) {
			start_vfork(program);
		} else if (!strcmp(way, "loop-or") && split) {
			*split = i & 1 ? NULL : "r:0";
			start_vfork(program);
		} else if (!strcmp(way, "loop-open") && split) {
			*split = i & 1 ? NULL : "r:0";
			start_vfork(program);
			open_for_write(program[0], 0);
		} else if (!strcmp(way, "loop-try") && split) {
			*split = i & 1 ? NULL : "r:0";
			start_vfork(program);
			open_for_write(program[0], O_NONBLOCK);
		} else if (!strcmp(way, "kill-storm")) {
			start_under_fire(program, kill_it, 1, usual_us, &seed);
		} else if (!strcmp(way, "stop-storm")) {
			start_under_fire(program, stop_it, 20, usual_us, &seed);
		} else if (!strcmp(way, "winch-storm")) {
			start_under_fire(program, bother_it, 50, usual_us, &seed);
		} else if (!strcmp(way, "thread-race")) {
			start_race(program);
		} else {
			errx(2, "no such way: %s", way);
		}
	}
	printf("ok=%d killed=%d ETXTBSY=%d other=%d\n", ok, killed, busy, other);
	return 0;
}
