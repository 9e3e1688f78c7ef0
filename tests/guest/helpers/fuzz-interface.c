// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz-interface SEED COUNT DIRECTORY SYSCTL:LEAST:GREATEST... - COUNT random
 * reads and writes, of odd lengths at odd offsets, of the SYSCTLs in
 * /proc/sys/vm and of the files in DIRECTORY (debugfs).
 *
 * A sysctl takes a number in its range and nothing else: a write that fails, or
 * that does not begin at offset 0, changes nothing, and what is read afterwards
 * is always in range. One that is named without a range is a path: empty, or
 * what starts with a slash and is short enough. Of the files in DIRECTORY "stats"
 * is lines "name number" and the others are tables with tabs, in whatever pieces
 * they are read, and none can be written.
 *
 * Prints a line for each failure and "accesses=N failed=N accepted=N
 * rejected=N"; status 0 if none failed. The same SEED does the same again.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chance.h"

#define MAX_FILES 32
#define MAX_TEXT 9000
#define MAX_PATH 255

struct knob {
	char path[128];
	unsigned long least, greatest; /* of a path: 1, 0 */
};

static struct knob knobs[MAX_FILES];
static char *shown[MAX_FILES];
static int knob_count, shown_count, failures, accepted, rejected;
static void failed(const char *path, const char *what, const char *text, long n)
{
	printf("FAIL %s: %s; %ld bytes '%.60s'\n", path, what, n, text);
	failures++;
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

static unsigned long value_of(const struct knob *k)
{
	int fd = open_or_die(k->path, O_RDONLY);
	char text[64], *end;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	unsigned long value;

	close(fd);
	if (n <= 0)
		err(2, "%s", k->path);
	text[n] = '\0';
	value = strtoul(text, &end, 10);
	if (end == text || strcmp(end, "\n"))
		failed(k->path, "it does not read as a number", text, n);
	if (value < k->least || value > k->greatest)
		failed(k->path, "its value is out of range", text, n);
	return value;
}

/* What must come of a text at offset 0. */
enum expect { TAKEN, REJECTED, EITHER };

static enum expect make_text(const struct knob *k, char *text, long *n, unsigned long *value)
{
	static const char spaces[] = " \t\n";

	*value = k->least + below(k->greatest - k->least + 1);
	switch (below(10)) {
	case 0:
	case 1: /* as people write it */
		*n = sprintf(text, "%lu%s", *value, below(2) ? "\n" : "");
		return TAKEN;
	case 2: /* spaces around it */
		*n = sprintf(text, "%c%lu%c", spaces[below(3)], *value, spaces[below(3)]);
		return TAKEN;
	case 3:
		*n = sprintf(text, "%lu\n", k->greatest + 1 + below(1ull << below(60)));
		return REJECTED;
	case 4:
		*n = sprintf(text, "-%lu\n", 1 + below(1ull << below(60)));
		return REJECTED;
	case 5: /* a number that wraps to one in range */
		*n = sprintf(text, "%llu\n", (1 + below(1 << 20)) * (1ull << 32) + *value);
		return REJECTED;
	case 6: /* more digits than any number has */
		*n = 20 + below(MAX_TEXT - 40);
		memset(text, '1' + below(9), *n);
		return REJECTED;
	case 7: /* a number with something behind it */
		*n = sprintf(text, "%lu%c%lu", *value, "x.,:+e-"[below(7)], below(100));
		return EITHER;
	case 8: /* characters that mean something to some parser */
		*n = below(24);
		for (long i = 0; i < *n; i++)
			text[i] = "0123456789abcxX+-. \t\n"[below(21)];
		return EITHER;
	default:
		*n = below(below(4) ? 64 : MAX_TEXT);
		for (long i = 0; i < *n; i++)
			text[i] = chance();
		return EITHER;
	}
}

static void write_knob(const struct knob *k)
{
	static char text[MAX_TEXT + 1];
	static const off_t offsets[] = { 1, 2, 3, 7, 4095, 4096, 1l << 31, 1l << 40, LONG_MAX - 1 };
	unsigned long before = value_of(k), wanted, after;
	off_t offset = below(4) ? 0 : offsets[below(sizeof(offsets) / sizeof(*offsets))];
	int error;
	long n, written;
	enum expect expect = make_text(k, text, &n, &wanted);
	int fd = open_or_die(k->path, O_WRONLY);

	text[n] = '\0';
	errno = 0;
	written = pwrite(fd, text, n, offset);
	error = errno;
	close(fd);
	after = value_of(k);
	if (written > 0)
		accepted++;
	else
		rejected++;
	if (written > n)
		failed(k->path, "more was written than there is", text, written);
	if ((written < 0 || offset) && after != before)
		failed(k->path, offset ? "a write beyond its start changed it" :
					 "a write that failed changed it", text, n);
	if (offset)
		return;
	if (expect == TAKEN && (written != n || after != wanted))
		failed(k->path, "it does not take what is in range", text, n);
	if (expect == REJECTED && (written >= 0 || error != EINVAL || after != before))
		failed(k->path, "it does not refuse with EINVAL what is out of range", text, n);
}

static void read_path(const struct knob *k)
{
	char text[MAX_TEXT];
	int fd = open_or_die(k->path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text));

	close(fd);
	if (n < 1 || n > MAX_PATH + 1 || text[n - 1] != '\n' || (n > 1 && text[0] != '/') ||
	    memchr(text, 0, n))
		failed(k->path, "it is no path", text, n < 0 ? 0 : n);
}

static void write_path(const struct knob *k)
{
	static const char *const paths[] = { "",	      "\n",	   "/",	  "/tmp",
					     "/proc/self/fd", "/dev/null", "tmp", "../x" };
	char text[MAX_TEXT];
	const char *path = paths[below(sizeof(paths) / sizeof(*paths))];
	int fd = open_or_die(k->path, O_WRONLY);
	size_t n = below(2) ? strlen(path) : below(below(2) ? 300 : MAX_TEXT);

	for (size_t i = 0; i < n; i++)
		text[i] = i < strlen(path) ? path[i] : (char)chance();
	if (pwrite(fd, text, n, below(4) ? 0 : below(300)) > 0)
		accepted++;
	else
		rejected++;
	close(fd);
	read_path(k);
}

static void read_knob(const struct knob *k)
{
	char whole[64], part[64];
	int fd = open_or_die(k->path, O_RDONLY);
	int length = snprintf(whole, sizeof(whole), "%lu\n", value_of(k));
	size_t want = below(sizeof(part));
	off_t offset = below(2) ? 0 : 1 + below(100);
	ssize_t n = pread(fd, part, want, offset);

	close(fd);
	if (n < 0 || (size_t)n > want || (offset && n) || (!offset && n > length) ||
	    memcmp(part, whole, n))
		failed(k->path, "a part of it reads otherwise", whole, n);
}

/* Whether @line is "name number". */
static int is_counter(const char *line)
{
	size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
	char *end;

	if (!name || line[name] != ' ' || !line[name + 1] || line[name + 1] == ' ')
		return 0;
	strtoll(line + name + 1, &end, 10);
	return !*end;
}

static int is_printable(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((text[i] < ' ' || text[i] > '~') && text[i] != '\n' && text[i] != '\t')
			return 0;
	return 1;
}

static int tabs(const char *line)
{
	int n = 0;

	for (; *line; line++)
		n += *line == '\t';
	return n;
}

/* Whether @text is what @path shows: counters, or a table. */
static int is_whole(const char *path, char *text, size_t size)
{
	int counters = !!strstr(path, "/stats"), columns = -1;
	char *line, *rest = text;

	if (!size || text[size - 1] != '\n' || !is_printable(text, size))
		return 0;
	text[size - 1] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		if (columns < 0)
			columns = tabs(line);
		if (counters ? !is_counter(line) : tabs(line) != columns)
			return 0;
	}
	return 1;
}

static void read_shown(const char *path)
{
	static char text[1 << 20];
	int fd = open_or_die(path, O_RDONLY);
	size_t size = 0, most = 1 + below(below(2) ? 7 : 5000);
	ssize_t n;

	/* whole, in pieces of odd sizes */
	while ((n = read(fd, text + size, 1 + below(most))) > 0 && size < sizeof(text) - 8192)
		size += n;
	text[size] = '\0';
	if (n)
		failed(path, "it does not end", text, n);
	else if (!is_whole(path, text, size))
		failed(path, "read in pieces it is something else", text, size);
	/* from anywhere */
	for (int i = 0; i < 4; i++) {
		off_t offset = below(4) ? below(size + 100) : (1ull << below(63)) - below(2);
		size_t want = below(2) ? below(64) : below(8192);

		n = pread(fd, text, want, offset);
		if (n > (ssize_t)want || (n < 0 && errno != EINVAL && errno != EOVERFLOW))
			failed(path, "a part of it cannot be read", text, n);
		if (n > 0 && !is_printable(text, n))
			failed(path, "a part of it is something else", text, n);
	}
	if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED)
		failed(path, "it can be mapped", "", 0);
	if (ioctl(fd, chance(), text) == 0)
		failed(path, "it takes an ioctl", "", 0);
	close(fd);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, text, below(64)) > 0)
			failed(path, "it can be written", "", 0);
		close(fd);
	}
}

static void find_shown(const char *directory)
{
	DIR *d = opendir(directory);
	struct dirent *entry;

	if (!d)
		err(2, "%s", directory);
	while ((entry = readdir(d)) && shown_count < MAX_FILES)
		if (entry->d_name[0] != '.' &&
		    asprintf(&shown[shown_count++], "%s/%s", directory, entry->d_name) < 0)
			err(2, "asprintf");
	closedir(d);
	if (!shown_count)
		errx(2, "%s is empty", directory);
}

int main(int argc, char **argv)
{
	unsigned long count;

	if (argc < 5 || argc - 4 > MAX_FILES)
		errx(2, "usage: fuzz-interface SEED COUNT DIRECTORY SYSCTL:LEAST:GREATEST...");
	setvbuf(stdout, NULL, _IOLBF, 0);
	chance_state = strtoull(argv[1], NULL, 0);
	count = strtoul(argv[2], NULL, 0);
	find_shown(argv[3]);
	for (char **a = argv + 4; *a; a++) {
		struct knob *k = &knobs[knob_count++];
		char name[64];

		k->least = 1;
		k->greatest = 0;
		if (sscanf(*a, "%63[^:]:%lu:%lu", name, &k->least, &k->greatest) < 1)
			errx(2, "'%s' is not SYSCTL:LEAST:GREATEST", *a);
		snprintf(k->path, sizeof(k->path), "/proc/sys/vm/%s", name);
	}
	for (unsigned long i = 0; i < count; i++) {
		const struct knob *k = &knobs[below(knob_count)];

		if (!below(8))
			read_shown(shown[below(shown_count)]);
		else if (k->least > k->greatest)
			write_path(k);
		else if (!below(8))
			read_knob(k);
		else
			write_knob(k);
	}
	printf("accesses=%lu failed=%d accepted=%d rejected=%d\n", count, failures, accepted, rejected);
	return failures != 0;
}
