// SPDX-License-Identifier: GPL-2.0
/*
 * lease read|write FILE [keep] - take a lease on FILE: print "held" when there is
 * one, and "asked" each time that somebody asks for it. It is given back then,
 * but with "keep". Until it is killed.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	sigset_t io;
	int fd, signal;

	if (argc < 3)
		errx(2, "usage: lease read|write FILE [keep]");
	setlinebuf(stdout);
	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	sigprocmask(SIG_BLOCK, &io, NULL);
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fcntl(fd, F_SETLEASE, strcmp(argv[1], "read") ? F_WRLCK : F_RDLCK))
		err(1, "%s", argv[2]);
	puts("held");
	while (!sigwait(&io, &signal)) {
		puts("asked");
		if (argc == 3 && fcntl(fd, F_SETLEASE, F_UNLCK))
			err(1, "%s", argv[2]);
	}
	return 0;
}
