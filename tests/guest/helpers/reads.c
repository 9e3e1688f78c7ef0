// SPDX-License-Identifier: GPL-2.0
/*
 * reads [ITEM]... - read files in order, and print how many bytes came from a disk
 *                   for it, as the kernel counts them for this process
 *
 *	FILE             from end to end, and close it at once
 *	FILE@FIRST+COUNT these pages of it
 *	w:FILE           the same with FILE opened for writing too
 *	t:FILE           from end to end in a thread, with all others like it at a time
 *	m:FILE           map it, close it, touch each page or those that are given, and unmap
 *	                 it; M:FILE leaves it mapped
 *	b:FILE@FIRST+COUNT  map so many pages of it, wherever it ends, touch the first
 *	                 whether it can be or not, and leave them mapped
 *	s:FILE           only ask what it is
 *	n:FOLDER         only list it
 *	msleep:N         sleep N milliseconds
 *	loop:N           do all items before this one N times more
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, HUGE = 512 * PAGE, THREADS = 16 };

static pthread_t threads[THREADS];
static int thread_count;

/* Opens what NAME is without what follows the @: the FIRST page and the COUNT, or all. */
static int open_pages(const char *name, int flags, unsigned long *first, unsigned long *count)
{
	char path[PAGE], *at;
	int fd;

	*first = 0;
	*count = ~0UL;
	snprintf(path, sizeof(path), "%s", name);
	at = strchr(path, '@');
	if (at) {
		*at = 0;
		if (sscanf(at + 1, "%lu+%lu", first, count) != 2)
			errx(2, "%s", name);
	}
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/*
 * Where a kernel with huge pages maps a file as large as one. One without maps it at any page, and
 * what lies around a page fault in memory is then another part of the file each time.
 */
static void *place_for(unsigned long size)
{
	char *reserved;

	if (size < HUGE)
		return NULL;
	reserved = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (reserved == MAP_FAILED)
		err(1, "no room for %lu bytes", size);
	munmap(reserved, size + HUGE);
	return reserved + (-(unsigned long)reserved & (HUGE - 1));
}

static void map_file(const char *name, int stays)
{
	unsigned long first, count, page;
	int fd = open_pages(name, O_RDONLY, &first, &count);
	volatile char *mapped;
	struct stat st;

	if (fstat(fd, &st))
		err(1, "%s", name);
	mapped = mmap(place_for(st.st_size), st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapped == MAP_FAILED)
		err(1, "%s", name);
	close(fd);
	for (page = first; page - first < count && page * PAGE < (unsigned long)st.st_size; page++)
		mapped[page * PAGE];
	if (!stays)
		munmap((void *)mapped, st.st_size);
}

static sigjmp_buf beyond_end;

static void caught(int signal)
{
	siglongjmp(beyond_end, signal);
}

static void map_beyond(const char *name)
{
	unsigned long first, count;
	int fd = open_pages(name, O_RDONLY, &first, &count);
	volatile char *mapped = mmap(NULL, count * PAGE, PROT_READ, MAP_PRIVATE, fd, first * PAGE);

	if (mapped == MAP_FAILED)
		err(1, "%s", name);
	close(fd);
	signal(SIGBUS, caught);
	if (!sigsetjmp(beyond_end, 1))
		mapped[0];
	signal(SIGBUS, SIG_DFL);
}

static void read_file(const char *name, int flags)
{
	char buffer[4 * PAGE];
	unsigned long first, count;
	int fd = open_pages(name, flags, &first, &count);
	ssize_t len;

	lseek(fd, first * PAGE, SEEK_SET);
	while (count) {
		size_t part = count < 4 ? count * PAGE : sizeof(buffer);

		len = read(fd, buffer, part);
		if (len < 0)
			err(1, "%s", name);
		if (len == 0)
			break;
		count -= count < 4 ? count : 4;
	}
	close(fd);
}

static void *read_in_thread(void *name)
{
	read_file(name, O_RDONLY);
	return NULL;
}

static void join_threads(void)
{
	while (thread_count)
		pthread_join(threads[--thread_count], NULL);
}

static void list(const char *name)
{
	DIR *folder = opendir(name);

	if (!folder)
		err(1, "%s", name);
	while (readdir(folder))
		;
	closedir(folder);
}

static void do_item(char *item)
{
	struct stat st;

	if (!strncmp(item, "t:", 2)) {
		if (thread_count == THREADS)
			join_threads();
		if (pthread_create(&threads[thread_count], NULL, read_in_thread, item + 2))
			errx(2, "pthread_create");
		thread_count++;
		return;
	}
	join_threads();
	if (!strncmp(item, "w:", 2))
		read_file(item + 2, O_RDWR);
	else if (!strncmp(item, "m:", 2) || !strncmp(item, "M:", 2))
		map_file(item + 2, item[0] == 'M');
	else if (!strncmp(item, "b:", 2))
		map_beyond(item + 2);
	else if (!strncmp(item, "s:", 2))
		stat(item + 2, &st);
	else if (!strncmp(item, "n:", 2))
		list(item + 2);
	else if (!strncmp(item, "msleep:", 7))
		usleep(atoi(item + 7) * 1000);
	else
		read_file(item, O_RDONLY);
}

/* Bytes that were read from a disk. */
static unsigned long fetched(void)
{
	char text[PAGE] = "", *line;
	int fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		err(2, "/proc/self/io");
	close(fd);
	line = strstr(text, "\nread_bytes: ");
	if (!line)
		errx(2, "no read_bytes");
	return strtoul(line + strlen("\nread_bytes: "), NULL, 10);
}

int main(int argc, char **argv)
{
	unsigned long before = fetched();

	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "loop:", 5)) {
			for (int times = atoi(argv[i] + 5); times > 0; times--)
				for (int item = 1; item < i; item++)
					do_item(argv[item]);
		} else {
			do_item(argv[i]);
		}
	}
	join_threads();
	printf("%lu\n", fetched() - before);
	return 0;
}
