// SPDX-License-Identifier: GPL-2.0
/*
 * replay-log [-n CUTS] [-s SEED] LOG STATE IMAGE MARKS COMMAND...
 *
 * Replays what dm-log-writes wrote to the disk LOG, and cuts the power. STATE is
 * the filesystem's disk as it was when the recording began; it is brought forward.
 * For each cut the file IMAGE becomes what a disk could hold afterwards, the marks
 * that were passed are put into MARKS, a line each, and COMMAND is run with
 * CUT_NUMBER, CUT_KIND and CUT_AT in its environment. The kinds are
 *
 *	flush	everything up to a flush, or a write that bypasses the disk's cache
 *	step	everything up to some other write
 *	subset	everything up to a flush; of the writes that no flush has followed
 *		some, whole or a part of their sectors: a disk may lose the others
 *
 * All flushes are taken as long as they are not more than half of the cuts. With
 * the same SEED the same log is cut at the same places. What a first COMMAND that
 * fails was given is kept as IMAGE.failed and MARKS.failed. Prints how much was
 * recorded; the status is 1 if a COMMAND failed.
 *
 * The order of the log is not that in which the writes were issued. A write that
 * bypasses the cache is logged when it is done, any other when a flush that began
 * after it is, just before that flush. So between two flushes come first the writes
 * that bypass the cache, then those of which any may be lost.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* As in drivers/md/dm-log-writes.c; all numbers are little-endian, as x86 is. */
#define LOG_MAGIC 0x6a736677736872ULL
#define LOG_FLUSH 1
#define LOG_FUA 2
#define LOG_DISCARD 4
#define LOG_MARK 8

struct log_super {
	uint64_t magic, version, entries;
	uint32_t sector_size;
};

struct log_entry {
	uint64_t sector, sectors, flags, data_len;
};

struct entry {
	struct log_entry log;
	off_t data;	/* in the log */
	char *mark;
};

enum kind { FLUSH, STEP, SUBSET };

static const char *const kind_names[] = { "flush", "step", "subset" };

struct cut {
	enum kind kind;
	size_t at;	/* entries that are applied whole */
	uint64_t seed;	/* of what is chosen from the others */
};

static struct entry *entries;
static size_t entry_count;
static uint32_t sector_size;
static int log_fd;

static uint64_t random_state;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dULL >> 16;
}

static void seed_random(uint64_t seed)
{
	random_state = (seed + 1) * 0x9e3779b97f4a7c15ULL;
}

static void read_at(int fd, void *bytes, size_t len, off_t at)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (char *)bytes + done, len - done, at + done);

		if (n <= 0)
			err(2, "read");
		done += n;
	}
}

static void write_at(int fd, const void *bytes, size_t len, off_t at)
{
	if (pwrite(fd, bytes, len, at) != (ssize_t)len)
		err(2, "write");
}

static void load_log(void)
{
	struct log_super super;
	off_t at;

	read_at(log_fd, &super, sizeof(super), 0);
	if (super.magic != LOG_MAGIC || super.version != 1)
		errx(2, "there is no log");
	sector_size = super.sector_size;
	entry_count = super.entries;
	entries = calloc(entry_count, sizeof(*entries));
	if (!entries)
		err(2, "calloc");
	at = sector_size;
	for (size_t i = 0; i < entry_count; i++) {
		struct entry *entry = &entries[i];

		read_at(log_fd, &entry->log, sizeof(entry->log), at);
		if (entry->log.flags & LOG_MARK) {
			entry->mark = calloc(1, entry->log.data_len + 1);
			if (!entry->mark)
				err(2, "calloc");
			read_at(log_fd, entry->mark, entry->log.data_len,
				at + sizeof(entry->log));
		}
		at += sector_size;
		entry->data = at;
		if (!(entry->log.flags & LOG_DISCARD))
			at += entry->log.sectors * sector_size;
	}
}

/* Written, but maybe not kept. */
static int is_cached(const struct entry *entry)
{
	return !(entry->log.flags & (LOG_FLUSH | LOG_FUA | LOG_MARK));
}

/* Apply an entry, or of its sectors only every other one, by chance. */
static void apply(int fd, const struct entry *entry, int torn)
{
	size_t len = entry->log.sectors * sector_size;
	off_t at = entry->log.sector * sector_size;
	char *bytes;

	if (!len)
		return;
	if (entry->log.flags & LOG_DISCARD) {
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len))
			err(2, "fallocate");
		return;
	}
	bytes = malloc(len);
	if (!bytes)
		err(2, "malloc");
	read_at(log_fd, bytes, len, entry->data);
	if (torn) {
		for (size_t i = 0; i < len; i += sector_size)
			if (random_number() % 2)
				write_at(fd, bytes + i, sector_size, at + i);
	} else {
		write_at(fd, bytes, len, at);
	}
	free(bytes);
}

/* Make @to a copy of @from, with the same holes. */
static void copy(int from, int to)
{
	static char bytes[1 << 16];
	struct stat st;

	if (fstat(from, &st) || ftruncate(to, 0) || ftruncate(to, st.st_size))
		err(2, "copy");
	for (off_t data, end = 0; (data = lseek(from, end, SEEK_DATA)) >= 0;) {
		end = lseek(from, data, SEEK_HOLE);
		for (size_t len; data < end; data += len) {
			len = end - data < (off_t)sizeof(bytes) ? end - data : (off_t)sizeof(bytes);
			read_at(from, bytes, len, data);
			write_at(to, bytes, len, data);
		}
	}
}

/* What the disk and the observers have after @cut; @state is as of cut->at. */
static void make_cut(int state, const char *image, const char *marks, const struct cut *cut)
{
	int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	FILE *out = fopen(marks, "we");

	if (fd < 0 || !out)
		err(2, "%s", fd < 0 ? image : marks);
	copy(state, fd);
	seed_random(cut->seed);
	if (cut->kind == SUBSET)
		for (size_t i = cut->at; i < entry_count; i++) {
			if (entries[i].log.flags & (LOG_FLUSH | LOG_FUA))
				break;
			if (is_cached(&entries[i]))
				switch (random_number() % 3) {
				case 0:
					apply(fd, &entries[i], 0);
					break;
				case 1:
					apply(fd, &entries[i], 1);
					break;
				}
		}
	for (size_t i = 0; i < cut->at; i++)
		if (entries[i].mark)
			fprintf(out, "%s\n", entries[i].mark);
	fclose(out);
	close(fd);
}

static int run(char **command, size_t number, const struct cut *cut)
{
	char text[32];
	int status;
	pid_t child;

	snprintf(text, sizeof(text), "%zu", number);
	setenv("CUT_NUMBER", text, 1);
	snprintf(text, sizeof(text), "%zu", cut->at);
	setenv("CUT_AT", text, 1);
	setenv("CUT_KIND", kind_names[cut->kind], 1);
	child = fork();
	if (!child) {
		execvp(command[0], command);
		err(127, "%s", command[0]);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		err(2, "fork");
	return status;
}

static int by_place(const void *a, const void *b)
{
	const struct cut *one = a, *other = b;

	return one->at < other->at ? -1 : one->at > other->at;
}

/* Of @count things, those that are chosen when every (@count / @chosen)th is. */
static int is_chosen(size_t i, size_t count, size_t chosen)
{
	return i * chosen / count != (i + 1) * chosen / count;
}

static struct cut *choose(size_t cuts, uint64_t seed)
{
	struct cut *chosen = calloc(cuts, sizeof(*chosen));
	size_t *epochs = calloc(entry_count + 1, sizeof(*epochs)), epoch_count = 0;
	size_t *steps = calloc(entry_count + 1, sizeof(*steps)), step_count = 0;
	size_t flushes = 0, taken, count = 0, i, n = 0;

	if (!chosen || !epochs || !steps)
		err(2, "calloc");
	for (i = 0; i < entry_count; i++) {
		if (entries[i].log.flags & (LOG_FLUSH | LOG_FUA)) {
			flushes++;
		} else if (is_cached(&entries[i])) {
			size_t before = i;

			/* An epoch begins with the first of them behind a flush. */
			while (before && entries[before - 1].mark)
				before--;
			if (!before || !is_cached(&entries[before - 1]))
				epochs[epoch_count++] = i;
			steps[step_count++] = i + 1;
		}
	}
	taken = flushes <= cuts / 2 ? flushes : cuts / 2;
	for (i = 0; i < entry_count; i++)
		if (entries[i].log.flags & (LOG_FLUSH | LOG_FUA) &&
		    is_chosen(n++, flushes, taken))
			chosen[count++] = (struct cut){ FLUSH, i + 1, 0 };
	if (!epoch_count)
		errx(2, "nothing was written");
	seed_random(seed);
	while (count < cuts) {
		struct cut *cut = &chosen[count++];

		if (random_number() % 4) {
			cut->kind = SUBSET;
			cut->at = epochs[random_number() % epoch_count];
			cut->seed = random_number();
		} else {
			cut->kind = STEP;
			cut->at = steps[random_number() % step_count];
		}
	}
	qsort(chosen, cuts, sizeof(*chosen), by_place);
	printf("recorded: %zu writes, %zu flushes and writes past the cache (%zu of them cut), %zu times writes that may be lost\n",
	       step_count, flushes, taken, epoch_count);
	free(epochs);
	free(steps);
	return chosen;
}

int main(int argc, char **argv)
{
	const char *image, *marks;
	char failed_image[4096], failed_marks[4096];
	size_t cuts = 100, done = 0, failed = 0;
	uint64_t seed = 1;
	struct cut *chosen;
	int state, option;

	while ((option = getopt(argc, argv, "+n:s:")) != -1)
		switch (option) {
		case 'n':
			cuts = strtoul(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	if (argc - optind < 5 || !cuts)
		errx(2, "usage: replay-log [-n CUTS] [-s SEED] LOG STATE IMAGE MARKS COMMAND...");
	log_fd = open(argv[optind], O_RDONLY | O_CLOEXEC);
	state = open(argv[optind + 1], O_RDWR | O_CLOEXEC);
	if (log_fd < 0 || state < 0)
		err(2, "%s", argv[optind + (log_fd >= 0)]);
	image = argv[optind + 2];
	marks = argv[optind + 3];
	load_log();
	chosen = choose(cuts, seed);
	fflush(stdout);
	for (size_t i = 0; i < cuts; i++) {
		for (; done < chosen[i].at; done++)
			apply(state, &entries[done], 0);
		make_cut(state, image, marks, &chosen[i]);
		if (run(argv + optind + 4, i + 1, &chosen[i]) && !failed++) {
			snprintf(failed_image, sizeof(failed_image), "%s.failed", image);
			snprintf(failed_marks, sizeof(failed_marks), "%s.failed", marks);
			make_cut(state, failed_image, failed_marks, &chosen[i]);
		}
	}
	return failed != 0;
}
