// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz-exec [-v] STATS ENABLED SEED COUNT COPY ANNOTATED... - execute COUNT
 * files that were made from the ANNOTATED ones by damage at random, as COPY.
 *
 * The damage is to ELF header, program headers, section headers, slots, records
 * and bitmaps, to the attribute user.pbitmap, or to any byte; in half of the files the checksums are made right
 * afterwards, so that it is not them that save us. Each file is executed first
 * while the sysctl ENABLED is 0 and then while it is 1, by user 1000 who owns it,
 * and must behave the same: what it prints, its exit status or signal, or the
 * error of execve(). Nothing of it may have changed but its section.
 *
 * Case I depends on SEED + I and ANNOTATED alone: what is printed for a failure
 * runs it again. A file that behaves one way and another without the module (it
 * is garbage, after all) is counted as unsteady.
 *
 * Prints "cases=N failed=N unsteady=N used=N refused=N left_alone=N ran=N
 * signalled=N not_executed=N"; status 0 if none failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "chance.h"
#include "counters.h"
#include "format.h"

#define USER 1000
#define MAX_BASES 8
#define EXTRA (1 << 16)
#define ATTRIBUTE "user.pbitmap"
#define MAX_VALUE 4036 /* ext4's block of 4096, without its header, an entry, and the end's mark */

static const char *stats, *enabled, *copy;
static int verbose, failures, unsteady;
static int on_disk_size = -1;

/* --- damage --------------------------------------------------------------- */

struct value {
	uint8_t bytes[MAX_VALUE];
	size_t size; /* 0: there is none */
};

struct base {
	struct image image;
	uint64_t section, section_size; /* where it is before any damage; none: 0 */
	struct value value;
};

/* Whether the bytes from @at on, @count times @size, are all in the file. */
static int inside(const struct image *m, uint64_t at, uint64_t count, uint64_t size)
{
	return at <= m->size && count * size <= m->size - at;
}

static uint64_t odd_value(uint64_t now, uint64_t file_size)
{
	switch (below(11)) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return now + 1;
	case 3:
		return now - 1;
	case 4:
		return now + 4096;
	case 5:
		return now ^ 1ull << below(64);
	case 6:
		return 1ull << below(64);
	case 7:
		return file_size - below(256);
	case 8:
		return below(256);
	case 9:
		return -below(8192);
	default:
		return chance();
	}
}

/* Put an odd value into a field, of any size, of the structure at @start. */
static void damage_field(struct image *m, uint64_t start, uint64_t size)
{
	uint64_t width = 1ull << below(4), at, value = 0;

	if (start >= m->size || size < width)
		return;
	at = start + below(size / width) * width;
	if (at + width > m->size)
		return;
	memcpy(&value, m->bytes + at, width);
	value = odd_value(value, m->size);
	memcpy(m->bytes + at, &value, width);
}

static void damage_bytes(struct image *m, uint64_t start, uint64_t size)
{
	if (start >= m->size)
		return;
	if (size > m->size - start)
		size = m->size - start;
	for (uint64_t n = below(16); size; n--) {
		m->bytes[start + below(size)] ^= 1 << below(8);
		if (!n)
			break;
	}
}

/* A piece of the file is copied over another piece. */
static void damage_copy(struct image *m, uint64_t start, uint64_t size)
{
	uint64_t n = 1 + below(512);

	if (start >= m->size || start + size > m->size || n >= size)
		return;
	memmove(m->bytes + start + below(size - n), m->bytes + start + below(size - n), n);
}

static void damage_size(struct image *m, const struct base *base)
{
	switch (below(4)) {
	case 0: /* cut anywhere */
		m->size = below(m->size);
		break;
	case 1: /* cut in the section or the headers behind it */
		if (m->size > base->section)
			m->size = base->section + below(m->size - base->section);
		break;
	case 2: /* cut a little */
		m->size -= below(m->size < 64 ? m->size : 64);
		break;
	default:
		m->size += below(m->room - m->size);
	}
}

/* One of the records that the slot's header points to. */
static void damage_record(struct image *m, uint64_t slot_at, int files)
{
	struct slot_header s;
	uint64_t at, count, size;

	if (slot_at + sizeof(s) > m->size)
		return;
	memcpy(&s, m->bytes + slot_at, sizeof(s));
	at = files ? s.files_offset : s.profiles_offset;
	count = files ? s.file_count : s.profile_count;
	size = files ? sizeof(struct file_record) : sizeof(struct profile_record);
	damage_field(m, slot_at + at + below(count < 64 ? count : 64) * size, size);
}

/* The attribute is magic, checksum, and a stream of bits. */
static void damage_value(struct value *v)
{
	const uint32_t magic = 0x314d4250; /* "PBM1" */
	uint32_t crc;

	switch (below(6)) {
	case 0: /* from nothing */
		v->size = below(MAX_VALUE);
		for (size_t i = 0; i < v->size; i++)
			v->bytes[i] = chance();
		break;
	case 1:
		v->size = below(v->size + 1);
		break;
	case 2:
		v->size += below(MAX_VALUE - v->size);
		break;
	default:
		for (uint64_t n = below(8); v->size; n--) {
			v->bytes[below(v->size)] ^= 1 << below(8);
			if (!n)
				break;
		}
	}
	if (v->size >= 8 && below(4)) {
		memcpy(v->bytes, &magic, 4);
		crc = ~crc32c_update(~0u, v->bytes + 8, v->size - 8);
		memcpy(v->bytes + 4, &crc, 4);
	}
}

static void damage(struct image *m, const struct base *base)
{
	const Elf64_Ehdr *eh = ehdr(&base->image);
	uint64_t slot_at = base->section + below(2) * (base->section_size / 2);

	switch (base->section ? below(16) : below(6)) {
	case 0:
	case 1:
		damage_field(m, 0, sizeof(Elf64_Ehdr));
		break;
	case 2:
	case 3:
		damage_field(m, eh->e_phoff + below(eh->e_phnum) * sizeof(Elf64_Phdr),
			     sizeof(Elf64_Phdr));
		break;
	case 4:
	case 5:
		damage_field(m, eh->e_shoff + below(eh->e_shnum) * sizeof(Elf64_Shdr),
			     sizeof(Elf64_Shdr));
		break;
	case 6:
	case 7:
		damage_field(m, slot_at, sizeof(struct slot_header));
		break;
	case 8:
		damage_record(m, slot_at, 0);
		break;
	case 9:
	case 10:
		damage_record(m, slot_at, 1);
		break;
	case 11:
		damage_bytes(m, slot_at, base->section_size / 2);
		break;
	case 12:
		damage_copy(m, base->section, base->section_size);
		break;
	case 13:
		damage_size(m, base);
		break;
	case 14: /* headers as bytes: what is behind the last of them, too */
		damage_bytes(m, below(2) ? 0 : eh->e_shoff, 1024);
		break;
	default:
		damage_bytes(m, 0, m->size);
	}
}

/* Make right whatever checksum still has a place. */
static void fix_checksums(struct image *m, const struct base *base)
{
	const Elf64_Ehdr *eh = ehdr(m);
	int headers = m->size >= sizeof(*eh) &&
		      inside(m, eh->e_phoff, eh->e_phnum, sizeof(Elf64_Phdr));

	for (int i = 0; i < 2; i++) {
		uint64_t at = base->section + i * (base->section_size / 2);
		struct slot_header *s = (void *)(m->bytes + at);

		if (at + sizeof(*s) > m->size)
			continue;
		if (headers)
			s->layout_crc = layout_crc(m);
		if (s->used_bytes >= sizeof(*s) && at + s->used_bytes <= m->size)
			s->crc = slot_crc(s);
	}
}

static struct image damaged(uint64_t seed, const struct base *bases, int count, struct value *value)
{
	const struct base *base;
	struct image m;

	chance_state = seed;
	/* The same for a while: a file of another size has to be synced first. */
	base = &bases[seed / 16 % count];
	m = base->image;
	m.bytes = malloc(m.room + 1);
	if (!m.bytes)
		err(2, "malloc");
	memcpy(m.bytes, base->image.bytes, m.room + 1);
	*value = base->value;
	if (value->size || !below(8))
		damage_value(value);
	/* A file whose attribute is damaged is mostly sound itself, or it would not be looked at. */
	if (base->section || !below(4)) {
		for (uint64_t n = below(4);; n--) {
			damage(&m, base);
			if (!n)
				break;
		}
		if (base->section && below(2))
			fix_checksums(&m, base);
	}
	return m;
}

/* --- execution ------------------------------------------------------------ */

struct outcome {
	int error;  /* of execve() */
	int status; /* as waitpid() says */
	char output[256];
};

static int same(const struct outcome *a, const struct outcome *b)
{
	return a->error == b->error && a->status == b->status && !strcmp(a->output, b->output);
}

static void show(const char *title, const struct outcome *o)
{
	printf("     %s: execve %s, %s %d, '%s'\n", title,
	       o->error ? strerrorname_np(o->error) : "0",
	       WIFSIGNALED(o->status) ? "signal" : "status",
	       WIFSIGNALED(o->status) ? WTERMSIG(o->status) : WEXITSTATUS(o->status), o->output);
}

/*
 * The program may be garbage, so it has no rights, no time and no children. As
 * this is the child of a vfork, only system calls that change the task alone.
 */
static int become_harmless(void)
{
	const struct rlimit second = { 1, 1 }, none = { 0, 0 };
	const struct rlimit memory = { 1 << 30, 1 << 30 };

	alarm(2);
	return syscall(SYS_setgroups, 0, NULL) || syscall(SYS_setresgid, USER, USER, USER) ||
	       syscall(SYS_setresuid, USER, USER, USER) || setrlimit(RLIMIT_CPU, &second) ||
	       setrlimit(RLIMIT_CORE, &none) || setrlimit(RLIMIT_NPROC, &none) ||
	       setrlimit(RLIMIT_FSIZE, &none) || setrlimit(RLIMIT_AS, &memory);
}

static void set_enabled(int fd, char value)
{
	if (pwrite(fd, &value, 1, 0) != 1)
		err(2, "%s", enabled);
}

static struct outcome run(void)
{
	static char *const arguments[] = { "program", "t:0-15/2", "r:1", "d:0-3",
					   "sum",     "exit:7",	  NULL };
	static char *const environment[] = { NULL };
	static volatile int error;
	struct outcome o = { 0 };
	volatile size_t size = 0;
	int fds[2];
	ssize_t n;
	pid_t child;

	error = 0;
	if (pipe2(fds, O_CLOEXEC))
		err(2, "pipe");
	child = vfork();
	if (child < 0)
		err(2, "vfork");
	if (!child) {
		dup2(fds[1], 1);
		if (become_harmless())
			_exit(98);
		execve(copy, arguments, environment);
		error = errno;
		_exit(99);
	}
	close(fds[1]);
	while (size < sizeof(o.output) - 1 &&
	       (n = read(fds[0], o.output + size, sizeof(o.output) - 1 - size)) > 0)
		size += n;
	close(fds[0]);
	if (waitpid(child, &o.status, 0) != child)
		err(2, "waitpid");
	if (WIFEXITED(o.status) && WEXITSTATUS(o.status) == 98)
		errx(2, "the program could not be made harmless");
	o.error = error;
	return o;
}

static struct outcome run_while(int fd, char value)
{
	set_enabled(fd, value);
	return run();
}

/* --- the file ------------------------------------------------------------- */

static void write_copy(const struct image *m, const struct value *value, int anew)
{
	int fd;

	if (anew)
		unlink(copy);
	fd = open(copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	if (fd < 0)
		err(2, "%s", copy);
	if (pwrite(fd, m->bytes, m->size, 0) != (ssize_t)m->size || ftruncate(fd, m->size) ||
	    fchown(fd, USER, USER))
		err(2, "%s", copy);
	/* Where it lies on the disk is known only then: before, nothing is updated. */
	if (on_disk_size != (int)m->size && fsync(fd))
		err(2, "%s", copy);
	on_disk_size = m->size;
	if (value->size ? fsetxattr(fd, ATTRIBUTE, value->bytes, value->size, 0) :
			  fremovexattr(fd, ATTRIBUTE) && errno != ENODATA)
		err(2, "%s: its attribute of %zu bytes", copy, value->size);
	close(fd);
}

static int covers(uint64_t start, uint64_t size, uint64_t at)
{
	return at >= start && at - start < size;
}

/* May the byte at @at change: is it in a section for bitmaps, and in no PT_LOAD? */
static int may_change(const struct image *m, uint64_t at)
{
	const Elf64_Ehdr *eh = ehdr(m);
	const Elf64_Phdr *ph = (void *)(m->bytes + eh->e_phoff);
	const Elf64_Shdr *sh = (void *)(m->bytes + eh->e_shoff);
	int found = 0;

	if (inside(m, eh->e_shoff, eh->e_shnum, sizeof(*sh)))
		for (int i = 0; i < eh->e_shnum; i++)
			found |= sh[i].sh_type == SHT_PRESENT_BITMAP &&
				 covers(sh[i].sh_offset, sh[i].sh_size, at);
	if (!inside(m, eh->e_phoff, eh->e_phnum, sizeof(*ph)))
		return 0;
	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && covers(ph[i].p_offset, ph[i].p_filesz, at))
			return 0;
		found |= ph[i].p_type == PT_GNU_STACK && covers(ph[i].p_offset, ph[i].p_filesz, at);
	}
	return found;
}

/* The offset of a byte that nobody had any business to change, or -1. */
static int64_t strange_change(const struct image *m)
{
	uint8_t *now = malloc(m->room + 1);
	int fd = open(copy, O_RDONLY | O_CLOEXEC);
	int64_t found = -1;
	struct stat st;

	if (fd < 0 || !now || fstat(fd, &st))
		err(2, "%s", copy);
	if (st.st_size != (off_t)m->size || pread(fd, now, m->size, 0) != (ssize_t)m->size)
		found = m->size;
	for (uint64_t at = 0; at < m->size && found < 0; at++)
		if (now[at] != m->bytes[at] && !may_change(m, at))
			found = at;
	close(fd);
	free(now);
	return found;
}

/* -------------------------------------------------------------------------- */

struct tally {
	int used, refused, alone, ran, signalled, not_executed;
};

static void attempt(uint64_t seed, const struct base *bases, int count, int fd, struct tally *tally,
		    struct counters *before)
{
	struct value value;
	struct image m = damaged(seed, bases, count, &value);
	struct outcome without, with;
	struct counters after;
	int bad = 0;

	write_copy(&m, &value, seed % 16 == 0);
	without = run_while(fd, '0');
	with = run_while(fd, '1');
	counters_read(stats, &after);
	if (counters_sum(&after, "used") != counters_sum(before, "used"))
		tally->used++;
	else if (counters_sum(&after, "refused_") != counters_sum(before, "refused_"))
		tally->refused++;
	else
		tally->alone++;
	*before = after;
	if (without.error)
		tally->not_executed++;
	else if (WIFSIGNALED(without.status))
		tally->signalled++;
	else
		tally->ran++;

	if (!same(&without, &with)) {
		struct outcome again[4];
		int steady = 1;

		for (int i = 0; i < 4; i++) {
			again[i] = run_while(fd, i < 3 ? '0' : '1');
			if (i < 3 && !same(&again[i], &without))
				steady = 0;
		}
		if (same(&again[3], &without))
			steady = 0;
		if (steady) {
			printf("FAIL seed %llu: it behaves differently\n", (unsigned long long)seed);
			show("without", &without);
			show("with", &with);
			bad = 1;
		} else {
			unsteady++;
		}
	}
	/* Now and then all of it is looked at: to wait for the write takes time. */
	if (seed % 8 == 0) {
		int64_t at;

		if (counters_settle(stats, -1, 10000)) {
			printf("FAIL seed %llu: work is left\n", (unsigned long long)seed);
			bad = 1;
		}
		at = strange_change(&m);
		if (at >= 0) {
			printf("FAIL seed %llu: byte %#llx was changed\n",
			       (unsigned long long)seed, (unsigned long long)at);
			bad = 1;
		}
		counters_read(stats, before);
	}
	if (verbose && !bad) {
		printf("fine seed %llu\n", (unsigned long long)seed);
		show("both", &with);
	}
	failures += bad;
	free(m.bytes);
}

int main(int argc, char **argv)
{
	struct tally tally = { 0 };
	static struct base bases[MAX_BASES];
	struct counters before;
	uint64_t seed, cases;
	int count = 0, fd;

	if (argc > 1 && !strcmp(argv[1], "-v")) {
		verbose = 1;
		argv++;
		argc--;
	}
	if (argc < 7 || argc - 6 > MAX_BASES)
		errx(2, "usage: fuzz-exec [-v] STATS ENABLED SEED COUNT COPY ANNOTATED...");
	setvbuf(stdout, NULL, _IOLBF, 0);
	stats = argv[1];
	enabled = argv[2];
	seed = strtoull(argv[3], NULL, 0);
	cases = strtoull(argv[4], NULL, 0);
	copy = argv[5];
	for (char **path = argv + 6; *path; path++, count++) {
		struct base *base = &bases[count];
		const Elf64_Shdr *sh;
		ssize_t size;

		base->image = image_read(*path, EXTRA);
		sh = find_bitmap(&base->image);
		base->section = sh ? sh->sh_offset : 0;
		base->section_size = sh ? sh->sh_size : 0;
		size = getxattr(*path, ATTRIBUTE, base->value.bytes, MAX_VALUE);
		base->value.size = size > 0 ? size : 0;
		if (newest_slot(&base->image) < 0 && !base->value.size)
			errx(2, "%s: it has no trained bitmap", *path);
	}
	fd = open(enabled, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		err(2, "%s", enabled);
	/* Garbage that prints where it lies does so alike each time. */
	if (personality(ADDR_NO_RANDOMIZE) < 0)
		err(2, "personality");
	unlink(copy);
	counters_read(stats, &before);
	for (uint64_t i = 0; i < cases; i++)
		attempt(seed + i, bases, count, fd, &tally, &before);
	if (counters_settle(stats, 0, 10000)) {
		printf("FAIL all of them: recorders are left\n");
		failures++;
	}
	unlink(copy);
	printf("cases=%llu failed=%d unsteady=%d used=%d refused=%d left_alone=%d ran=%d signalled=%d not_executed=%d\n",
	       (unsigned long long)cases, failures, unsteady, tally.used, tally.refused, tally.alone,
	       tally.ran, tally.signalled, tally.not_executed);
	return failures != 0;
}
