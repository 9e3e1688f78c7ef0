// SPDX-License-Identifier: GPL-2.0
/*
 * hostile [-v] STATS ORIGINAL ANNOTATED COPY - make a file with a damaged or
 * malicious section from ANNOTATED, as COPY, run it, and again for some
 * hundreds of kinds of damage.
 *
 * ANNOTATED is `small` with a trained bitmap, ORIGINAL the same without a
 * section. Whatever is done to the section, its headers and its end of the file,
 *  - the program must print and return what ORIGINAL does,
 *  - nothing but the section may be written, and no file that was refused,
 *  - the counters must say what happened: used, or refused with a reason.
 *
 * Prints a line for each failure (with -v for each case) and
 * "cases=N failed=N used=N refused=N left_alone=N"; status 0 if none failed.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include "counters.h"
#include "format.h"

enum expect {
	USED,	    /* the bitmap is used: it or its other slot is fine */
	REFUSED,    /* it is refused with a reason */
	COUNTED,    /* one of the two */
	LEFT_ALONE, /* the file does not look annotated at all */
	ANY,	    /* only the program must run as before */
};

static const char *const expect_name[] = { "used", "refused", "used or refused", "left alone",
					   "anything" };

static const char *stats, *copy;
static int verbose, cases, failures, used_cases, refused_cases, alone_cases;
static struct image base_both, base_single, *base = &base_both;
static uint64_t hole_start, hole_end; /* not written: a hole in the file */
static int no_write; /* nothing may be written, not even the section */
static uint64_t far_offset, far_size; /* these last bytes go far away in a sparse file */

struct outcome {
	char output[256];
	int status;
};

static struct outcome run(const char *path)
{
	/* Other pages than those of the training, so that a valid bitmap is rewritten. */
	static char *const arguments[] = { "program", "t:0-15/2", "r:1", "d:0-3",
					   "sum",     "exit:7",	  NULL };
	static char *const environment[] = { NULL };
	struct outcome o = { 0 };
	int fds[2], status;
	volatile size_t size = 0;
	ssize_t n;
	pid_t child;

	if (pipe2(fds, O_CLOEXEC))
		err(2, "pipe");
	child = vfork();
	if (!child) {
		dup2(fds[1], 1);
		execve(path, arguments, environment);
		_exit(99);
	}
	close(fds[1]);
	while ((n = read(fds[0], o.output + size, sizeof(o.output) - 1 - size)) > 0)
		size += n;
	close(fds[0]);
	if (waitpid(child, &status, 0) != child)
		err(2, "waitpid");
	o.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return o;
}

static struct outcome expected;

static struct image fresh(void)
{
	struct image m = *base;

	m.bytes = malloc(m.room + 1);
	if (!m.bytes)
		err(2, "malloc");
	memcpy(m.bytes, base->bytes, m.room + 1);
	hole_start = hole_end = far_offset = far_size = no_write = 0;
	return m;
}

static void write_copy(const struct image *m)
{
	size_t near = m->size - far_size;
	int fd;

	unlink(copy);
	fd = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (fd < 0)
		err(2, "%s", copy);
	if (pwrite(fd, m->bytes, hole_start ?: near, 0) < 0 ||
	    (hole_start && pwrite(fd, m->bytes + hole_end, near - hole_end, hole_end) < 0) ||
	    (far_size && pwrite(fd, m->bytes + near, far_size, far_offset) < 0) || fsync(fd))
		err(2, "%s", copy);
	close(fd);
}

/* Whether COPY holds what was written, but for @size bytes from @offset on. */
static int unchanged(const struct image *m, uint64_t offset, uint64_t size)
{
	size_t near = m->size - far_size;
	uint8_t *now = malloc(m->size + 1);
	int fd = open(copy, O_RDONLY | O_CLOEXEC), same;
	struct stat st;

	if (fd < 0 || !now || fstat(fd, &st) || pread(fd, now, near, 0) != (ssize_t)near)
		err(2, "%s", copy);
	if (far_size && pread(fd, now + near, far_size, far_offset) != (ssize_t)far_size)
		err(2, "%s", copy);
	close(fd);
	same = (uint64_t)st.st_size == (far_size ? far_offset + far_size : m->size);
	for (size_t i = 0; i < m->size && same; i++) {
		uint64_t at = i < near ? i : i - near + far_offset;

		if (now[i] != m->bytes[i] && (at < offset || at >= offset + size))
			same = 0;
	}
	free(now);
	return same;
}

static int failed_case(const char *name, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("FAIL %s: ", name);
	vprintf(format, args);
	printf("\n");
	va_end(args);
	failures++;
	return 1;
}

static void reasons(const struct counters *before, const struct counters *after)
{
	for (int i = 0; i < after->count; i++)
		if (!strncmp(after->list[i].name, "refused_", 8) &&
		    after->list[i].value != before->list[i].value)
			printf(" %s", after->list[i].name);
}

static void attempt(struct image *m, enum expect expect, const char *name)
{
	struct counters before, after;
	uint64_t offset = 0, size = 0;
	long long armed, used, refused;
	struct outcome o;
	int bad = 0;

	write_copy(m);
	if (!far_size && find_bitmap(m)) {
		offset = find_bitmap(m)->sh_offset;
		size = find_bitmap(m)->sh_size;
	} else if (far_size) {
		offset = far_offset;
		size = far_size;
	}
	counters_read(stats, &before);
	o = run(copy);
	if (counters_settle(stats, -1, 10000))
		bad += failed_case(name, "work is left");
	counters_read(stats, &after);
	armed = counters_sum(&after, "armed") - counters_sum(&before, "armed");
	used = counters_sum(&after, "used") - counters_sum(&before, "used");
	refused = counters_sum(&after, "refused_") - counters_sum(&before, "refused_");

	if (o.status != expected.status || strcmp(o.output, expected.output))
		bad += failed_case(name, "the program ran differently: status %d, output '%s'",
				   o.status, o.output);
	switch (expect) {
	case USED:
		if (used != 1)
			bad += failed_case(name, "used+%lld, expected 1", used);
		break;
	case REFUSED:
		if (used || refused < 1)
			bad += failed_case(name, "used+%lld refused+%lld", used, refused);
		break;
	case COUNTED:
		if (used + refused < 1)
			bad += failed_case(name, "used+%lld refused+%lld", used, refused);
		break;
	case LEFT_ALONE:
		if (armed || used)
			bad += failed_case(name, "armed+%lld used+%lld", armed, used);
		break;
	case ANY:
		break;
	}
	if (!used || no_write)
		size = 0;
	if (!unchanged(m, offset, size))
		bad += failed_case(name, "bytes were changed %s",
				   used ? "outside the section" : "though it was not used");
	if (used)
		used_cases++;
	else if (refused)
		refused_cases++;
	else
		alone_cases++;
	if (verbose || bad) {
		printf("%s %s: expected %s; armed+%lld used+%lld", bad ? "bad " : "fine", name,
		       expect_name[expect], armed, used);
		reasons(&before, &after);
		printf("\n");
	}
	cases++;
	free(m->bytes);
	m->bytes = NULL;
}

/* CASE(expect, name...) { change m } */
#define CASE(expect, ...)                                                               \
	for (struct image m = fresh(), *once = &m; once;                                \
	     snprintf(case_name, sizeof(case_name), __VA_ARGS__),                       \
			  attempt(&m, expect, case_name), once = NULL)

static char case_name[128];

static struct slot_header *newest(struct image *m)
{
	return slot(m, newest_slot(base));
}

static struct slot_header *older(struct image *m)
{
	return slot(m, !newest_slot(base));
}

/* Make the checksum right again, as far as it can be. */
static void fix_crc(struct image *m, struct slot_header *s)
{
	uint64_t at = (uint8_t *)s - m->bytes;

	if (s->used_bytes >= sizeof(*s) && at + s->used_bytes <= m->size)
		s->crc = slot_crc(s);
}

static uint64_t load(const void *p, int size)
{
	uint64_t value = 0;

	memcpy(&value, p, size);
	return value;
}

static void store(void *p, int size, uint64_t value)
{
	memcpy(p, &value, size);
}

struct field {
	const char *name;
	int offset, size;
	enum expect fixed; /* what is expected when the checksum is made right */
};

#define FIELD(type, f, expect) { #f, offsetof(struct type, f), sizeof(((struct type *)0)->f), expect }
#define ELF_FIELD(type, f, expect) { #f, offsetof(type, f), sizeof(((type *)0)->f), expect }

static const struct field header_fields[] = {
	FIELD(slot_header, magic, REFUSED),
	FIELD(slot_header, version, REFUSED),
	FIELD(slot_header, header_size, REFUSED),
	FIELD(slot_header, page_size, REFUSED),
	FIELD(slot_header, compat, USED),
	FIELD(slot_header, incompat, REFUSED),
	FIELD(slot_header, generation, COUNTED),
	FIELD(slot_header, slot_size, REFUSED),
	FIELD(slot_header, used_bytes, COUNTED),
	FIELD(slot_header, crc, REFUSED),
	FIELD(slot_header, layout_crc, REFUSED),
	FIELD(slot_header, build_id, COUNTED),
	FIELD(slot_header, build_id_len, COUNTED),
	FIELD(slot_header, updated, COUNTED),
	FIELD(slot_header, profiles_offset, COUNTED),
	FIELD(slot_header, profile_count, COUNTED),
	FIELD(slot_header, files_offset, COUNTED),
	FIELD(slot_header, file_count, COUNTED),
	FIELD(slot_header, elf_size, COUNTED),
	FIELD(slot_header, zero0, USED),
	FIELD(slot_header, zero1, USED),
	FIELD(slot_header, zero2, USED),
};

static const struct field profile_fields[] = {
	FIELD(profile_record, kind, COUNTED),
	FIELD(profile_record, flags, COUNTED),
	FIELD(profile_record, key_len, COUNTED),
	FIELD(profile_record, key_offset, COUNTED),
	FIELD(profile_record, first_file, COUNTED),
	FIELD(profile_record, file_count, COUNTED),
	FIELD(profile_record, runs, USED),
	FIELD(profile_record, last_used, USED),
};

static const struct field file_fields[] = {
	FIELD(file_record, kind, COUNTED),
	FIELD(file_record, flags, COUNTED),
	FIELD(file_record, encoding, COUNTED),
	FIELD(file_record, plane_count, COUNTED),
	FIELD(file_record, path_offset, COUNTED),
	FIELD(file_record, path_len, COUNTED),
	FIELD(file_record, first_page, COUNTED),
	FIELD(file_record, page_count, COUNTED),
	FIELD(file_record, plane_stride, COUNTED),
	FIELD(file_record, planes_offset, COUNTED),
	FIELD(file_record, dev, COUNTED),
	FIELD(file_record, size, COUNTED),
};

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

/* Values that break arithmetic; 0 is also "missing". */
static uint64_t odd_value(int which, uint64_t now, int size)
{
	switch (which) {
	case 0:
		return 0;
	case 1:
		return now + 1;
	case 2:
		return ~0ull;
	case 3:
		return 1ull << (size * 8 - 1);
	default:
		return now + 4096;
	}
}

static const char *const odd_name[] = { "0", "+1", "all ones", "top bit", "+4096" };

static void record_fields(const char *what, const struct field *fields, int count,
			  uint32_t (*where)(struct slot_header *))
{
	for (int i = 0; i < count; i++) {
		const struct field *f = &fields[i];
		int size = f->size > 8 ? 8 : f->size;

		for (int v = 0; v < COUNT(odd_name); v++) {
			struct slot_header *s = newest(base);
			uint64_t now = load((uint8_t *)s + where(s) + f->offset, size);
			uint64_t value = odd_value(v, now, size);

			if (size < 8)
				value &= (1ull << size * 8) - 1;
			if (value == now)
				continue;
			CASE(f->fixed, "%s.%s = %s, checksum right", what, f->name, odd_name[v]) {
				s = newest(&m);
				store((uint8_t *)s + where(s) + f->offset, size, value);
				fix_crc(&m, s);
			}
		}
	}
}

static uint32_t profile_at(struct slot_header *s)
{
	return s->profiles_offset;
}

static uint32_t file_at(struct slot_header *s)
{
	return s->files_offset;
}

static void header_cases(void)
{
	for (int i = 0; i < COUNT(header_fields); i++) {
		const struct field *f = &header_fields[i];
		int size = f->size > 8 ? 8 : f->size;

		for (int v = 0; v < 3; v++) {
			uint64_t now = load((uint8_t *)newest(base) + f->offset, size);
			uint64_t value = odd_value(v, now, size);

			if (size < 8)
				value &= (1ull << size * 8) - 1;
			if (value == now)
				continue;
			base = &base_single;
			CASE(REFUSED, "header.%s = %s", f->name, odd_name[v])
				store((uint8_t *)newest(&m) + f->offset, size, value);
			if (strcmp(f->name, "crc"))
				CASE(f->fixed, "header.%s = %s, checksum right", f->name,
				     odd_name[v]) {
					store((uint8_t *)newest(&m) + f->offset, size, value);
					fix_crc(&m, newest(&m));
				}
			base = &base_both;
			if (v == 1)
				CASE(USED, "header.%s = %s, older slot valid", f->name,
				     odd_name[v])
					store((uint8_t *)newest(&m) + f->offset, size, value);
		}
	}
}

static void slot_cases(void)
{
	uint32_t slot_size = newest(base)->slot_size;

	CASE(REFUSED, "both slots zero") {
		memset(slot(&m, 0), 0, slot_size * 2);
	}
	CASE(REFUSED, "both slots all ones") {
		memset(slot(&m, 0), 0xff, slot_size * 2);
	}
	CASE(USED, "slots swapped") {
		memcpy(slot(&m, 0), slot(base, 1), slot_size);
		memcpy(slot(&m, 1), slot(base, 0), slot_size);
	}
	CASE(USED, "the same slot twice") {
		memcpy(older(&m), newest(base), slot_size);
	}
	CASE(USED, "two slots of one generation") {
		older(&m)->generation = newest(&m)->generation;
		fix_crc(&m, older(&m));
	}
	CASE(USED, "newest slot torn in the middle") {
		memset((uint8_t *)newest(&m) + 96, 0, slot_size - 96);
	}
	CASE(USED, "older slot is garbage") {
		memset(older(&m), 0xa5, slot_size);
	}
	CASE(USED, "the last generation there can be") {
		no_write = 1;
		newest(&m)->generation = ~0ull;
		fix_crc(&m, newest(&m));
	}
	CASE(USED, "the last but one generation") {
		newest(&m)->generation = ~1ull;
		fix_crc(&m, newest(&m));
	}
	CASE(COUNTED, "used_bytes is the whole slot") {
		newest(&m)->used_bytes = slot_size;
		fix_crc(&m, newest(&m));
	}
	CASE(COUNTED, "used_bytes is the header alone") {
		newest(&m)->used_bytes = 128;
		fix_crc(&m, newest(&m));
	}
	CASE(COUNTED, "records overlap the header") {
		newest(&m)->profiles_offset = 0;
		newest(&m)->files_offset = 0;
		fix_crc(&m, newest(&m));
	}
	CASE(COUNTED, "profile and file records overlap") {
		newest(&m)->files_offset = newest(&m)->profiles_offset;
		fix_crc(&m, newest(&m));
	}
	for (int count = 1; count <= 65536; count *= 4)
		CASE(COUNTED, "%d profiles and %d files", count, count * 16) {
			struct slot_header *s = newest(&m);

			s->profile_count = count;
			s->file_count = count * 16;
			s->used_bytes = slot_size;
			fix_crc(&m, s);
		}
	CASE(COUNTED, "many profiles that all claim all files") {
		struct slot_header *s = newest(&m);
		struct profile_record *p;

		s->profile_count = 16;
		s->profiles_offset = 128;
		s->files_offset = 128 + 16 * 64;
		s->file_count = 16;
		s->used_bytes = slot_size;
		for (int i = 0; i < 16; i++) {
			struct file_record *f = (void *)((uint8_t *)s + s->files_offset + i * 128);

			p = (void *)((uint8_t *)s + s->profiles_offset + i * 64);
			*p = (struct profile_record){ .file_count = 16 };
			*f = (struct file_record){ .plane_count = 8,
						   .page_count = 100,
						   .plane_stride = 16,
						   .planes_offset = 128 };
		}
		fix_crc(&m, s);
	}
	for (int fill = 0; fill < 4; fill++)
		CASE(fill ? USED : ANY, "plane filled with %02x", "\0\xff\xaa\x80"[fill] & 0xff) {
			struct slot_header *s = newest(&m);
			struct file_record *f = executable_record(s);

			memset((uint8_t *)s + f->planes_offset, "\0\xff\xaa\x80"[fill],
			       f->plane_stride);
			fix_crc(&m, s);
		}
	for (int pages = 1; pages <= 24; pages += 23)
		CASE(COUNTED, "a record of %d pages more than the file has", pages) {
			struct slot_header *s = newest(&m);
			struct file_record *f = executable_record(s);

			memset((uint8_t *)s + f->planes_offset, 0xff, f->plane_stride);
			f->page_count += pages;
			fix_crc(&m, s);
		}
	CASE(COUNTED, "pages at the end of the address space") {
		struct slot_header *s = newest(&m);

		executable_record(s)->first_page = ~0ull / 4096 - 4;
		fix_crc(&m, s);
	}
	CASE(COUNTED, "page_count, stride and offset that wrap") {
		struct slot_header *s = newest(&m);
		struct file_record *f = executable_record(s);

		f->page_count = ~0u;
		f->plane_stride = ~7u;
		f->planes_offset = 16;
		f->plane_count = 0xffff;
		fix_crc(&m, s);
	}
	base = &base_single;
	CASE(REFUSED, "the bitmap of another file") {
		newest(&m)->layout_crc ^= 0x12345678;
		fix_crc(&m, newest(&m));
	}
	base = &base_both;
}

static void section_cases(void)
{
	static const struct field fields[] = {
		ELF_FIELD(Elf64_Shdr, sh_name, REFUSED),
		ELF_FIELD(Elf64_Shdr, sh_type, REFUSED),
		ELF_FIELD(Elf64_Shdr, sh_flags, COUNTED),
		ELF_FIELD(Elf64_Shdr, sh_addr, COUNTED),
		ELF_FIELD(Elf64_Shdr, sh_offset, REFUSED),
		ELF_FIELD(Elf64_Shdr, sh_size, REFUSED),
		ELF_FIELD(Elf64_Shdr, sh_link, COUNTED),
		ELF_FIELD(Elf64_Shdr, sh_info, COUNTED),
		ELF_FIELD(Elf64_Shdr, sh_addralign, COUNTED),
		ELF_FIELD(Elf64_Shdr, sh_entsize, COUNTED),
	};
	static const struct field elf_fields[] = {
		ELF_FIELD(Elf64_Ehdr, e_shoff, REFUSED),
		ELF_FIELD(Elf64_Ehdr, e_shnum, COUNTED),
		ELF_FIELD(Elf64_Ehdr, e_shentsize, REFUSED),
		ELF_FIELD(Elf64_Ehdr, e_shstrndx, COUNTED),
	};
	const uint64_t size = base->size, offset = find_bitmap(base)->sh_offset;
	const uint64_t sizes[] = { 8,		  127,		 128,	 256,
				   4096,	  8192 - 8,	 8192 + 8, 16384,
				   1 << 21,	  (1 << 21) + 8, 1ull << 32, 1ull << 63 };
	const uint64_t offsets[] = { 1,		 64,	     4096,	 offset - 8, offset + 8,
				     size - 1,	 size,	     size + 1,	 size + 4096, 1ull << 31,
				     1ull << 32, 1ull << 62, 1ull << 63, ~4095ull };

	for (int i = 0; i < COUNT(fields); i++)
		for (int v = 0; v < 4; v++) {
			uint64_t now = load((uint8_t *)find_bitmap(base) + fields[i].offset,
					    fields[i].size);
			uint64_t value = odd_value(v, now, fields[i].size);

			if (fields[i].size == 4)
				value = (uint32_t)value;
			if (value != now)
				CASE(fields[i].fixed, "section.%s = %s", fields[i].name, odd_name[v])
					store((uint8_t *)find_bitmap(&m) + fields[i].offset,
					      fields[i].size, value);
		}
	for (int i = 0; i < COUNT(elf_fields); i++)
		for (int v = 0; v < 4; v++) {
			uint64_t now = load(base->bytes + elf_fields[i].offset, elf_fields[i].size);
			uint64_t value = odd_value(v, now, elf_fields[i].size);

			if (elf_fields[i].size == 2)
				value = (uint16_t)value;
			if (value != now)
				CASE(elf_fields[i].fixed, "ELF header.%s = %s", elf_fields[i].name,
				     odd_name[v])
					store(m.bytes + elf_fields[i].offset, elf_fields[i].size,
					      value);
		}
	for (int i = 0; i < COUNT(sizes); i++)
		if (sizes[i] != find_bitmap(base)->sh_size)
			CASE(REFUSED, "section of %#lx bytes", sizes[i])
				find_bitmap(&m)->sh_size = sizes[i];
	for (int i = 0; i < COUNT(offsets); i++)
		CASE(REFUSED, "section at %#lx", offsets[i])
			find_bitmap(&m)->sh_offset = offsets[i];
	CASE(REFUSED, "section headers without the last")
		ehdr(&m)->e_shnum--;
	CASE(REFUSED, "section headers at the end of the file")
		ehdr(&m)->e_shoff = m.size;
	CASE(REFUSED, "section headers far beyond the end of the file")
		ehdr(&m)->e_shoff = 1ull << 40;
	CASE(COUNTED, "two sections, the first one elsewhere") {
		Elf64_Shdr *sh = (void *)(m.bytes + ehdr(&m)->e_shoff);

		sh[1] = *find_bitmap(base);
		sh[1].sh_offset = 4096;
	}
	CASE(COUNTED, "every section is a bitmap") {
		Elf64_Shdr *sh = (void *)(m.bytes + ehdr(&m)->e_shoff), whole = *find_bitmap(base);

		for (int i = 0; i < ehdr(&m)->e_shnum - 1; i++)
			if (i != ehdr(&m)->e_shstrndx)
				sh[i] = whole;
	}
}

/* The last PT_LOAD ends with pages that the program does not look at. */
static void overlap_cases(void)
{
	uint64_t size = find_bitmap(base)->sh_size, load_end = 0, spare;
	Elf64_Phdr *ph = phdrs(base), *last = NULL;

	for (int i = 0; i < ehdr(base)->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_filesz)
			last = &ph[i];
	load_end = last->p_offset + last->p_filesz;
	spare = (load_end - size) & ~4095ull;
	CASE(REFUSED, "valid slots inside a PT_LOAD") {
		memcpy(m.bytes + spare, slot(base, 0), size);
		find_bitmap(&m)->sh_offset = spare;
	}
	CASE(REFUSED, "valid slots that begin in the last page of a PT_LOAD") {
		uint64_t at = (load_end - 1) & ~4095ull;

		memcpy(m.bytes + at, slot(base, 0), size);
		find_bitmap(&m)->sh_offset = at;
		/* What followed the segment is not needed to run. */
	}
	CASE(REFUSED, "the section over the ELF header") {
		find_bitmap(&m)->sh_offset = 0;
	}
	CASE(REFUSED, "the section over the program's code") {
		find_bitmap(&m)->sh_offset = 4096;
	}
	CASE(REFUSED, "a PT_LOAD that maps the section") {
		Elf64_Phdr *note = find_segment(&m, PT_NOTE);

		*note = (Elf64_Phdr){ .p_type = PT_LOAD,
				      .p_flags = PF_R | PF_W,
				      .p_offset = find_bitmap(&m)->sh_offset,
				      .p_vaddr = 0x10000000,
				      .p_paddr = 0x10000000,
				      .p_filesz = size,
				      .p_memsz = size,
				      .p_align = 4096 };
		for (int i = 0; i < 2; i++) {
			slot(&m, i)->layout_crc = layout_crc(&m);
			fix_crc(&m, slot(&m, i));
		}
	}
}

static void locator_cases(void)
{
	const uint64_t offset = find_bitmap(base)->sh_offset, size = find_bitmap(base)->sh_size;
	const uint64_t pairs[][2] = {
		{ 0, 0 },
		{ 0, size },
		{ offset, 0 },
		{ offset, 1 },
		{ offset + 1, size },
		{ offset, size * 2 },
		{ 0x1000, size },
		{ base->size, size },
		{ base->size - 1, 2 },
		{ 1ull << 40, size },
		{ offset, 1ull << 40 },
		{ offset, ~0ull },
		{ ~0ull, ~0ull },
		{ 1ull << 63, 1ull << 63 },
		{ ~0ull - size + 1, size },
		{ 0, base->size },
	};

	for (int i = 0; i < COUNT(pairs); i++)
		CASE(USED, "locator %#lx, %#lx", pairs[i][0], pairs[i][1]) {
			find_segment(&m, PT_GNU_STACK)->p_offset = pairs[i][0];
			find_segment(&m, PT_GNU_STACK)->p_filesz = pairs[i][1];
		}
	CASE(USED, "locator to a forged slot in the program") {
		find_segment(&m, PT_GNU_STACK)->p_offset = 0x1000;
	}
	CASE(LEFT_ALONE, "no marker")
		find_segment(&m, PT_GNU_STACK)->p_flags &= ~PF_PBITMAP;
	CASE(LEFT_ALONE, "no PT_GNU_STACK")
		find_segment(&m, PT_GNU_STACK)->p_type = PT_NULL;
	CASE(ANY, "two PT_GNU_STACK, the first one without marker") {
		Elf64_Phdr *note = find_segment(&m, PT_NOTE);

		*note = *find_segment(&m, PT_GNU_STACK);
		note->p_flags &= ~PF_PBITMAP;
	}
	CASE(COUNTED, "two PT_GNU_STACK, both with marker") {
		Elf64_Phdr *note = find_segment(&m, PT_NOTE);

		*note = *find_segment(&m, PT_GNU_STACK);
		note->p_offset = 1;
	}
	CASE(REFUSED, "another layout: PT_NOTE changed") {
		find_segment(&m, PT_NOTE)->p_flags ^= PF_W;
	}
	for (int count = 128; count <= 512; count *= 2)
		CASE(ANY, "%d program headers at the end of the file", count) {
			uint64_t at = (m.size + 7) & ~7ull;

			memset(m.bytes + at, 0, count * 56);
			memcpy(m.bytes + at, phdrs(&m), ehdr(&m)->e_phnum * 56);
			ehdr(&m)->e_phoff = at;
			ehdr(&m)->e_phnum = count;
			m.size = at + count * 56;
		}
	CASE(COUNTED, "program headers at an odd offset") {
		uint64_t at = m.size + 1;

		memcpy(m.bytes + at, phdrs(&m), ehdr(&m)->e_phnum * 56);
		ehdr(&m)->e_phoff = at;
		m.size = at + ehdr(&m)->e_phnum * 56;
	}
}

static void size_cases(void)
{
	const uint64_t offset = find_bitmap(base)->sh_offset, size = find_bitmap(base)->sh_size;
	const uint64_t headers = ehdr(base)->e_shoff;
	const uint64_t headers_end = headers + ehdr(base)->e_shnum * 64;
	const uint64_t cuts[] = { offset,
				  offset + 1,
				  offset + 64,
				  offset + 127,
				  offset + 128,
				  offset + size / 2 - 1,
				  offset + size / 2,
				  offset + size / 2 + 1,
				  offset + size / 2 + 128,
				  offset + size - 1,
				  offset + size,
				  headers - 1,
				  headers,
				  headers + 1,
				  headers + 64,
				  headers_end - 64,
				  headers_end - 1,
				  headers_end,
				  headers_end + 1,
				  base->size - 1 };

	for (int i = 0; i < COUNT(cuts); i++)
		CASE(cuts[i] < headers_end ? REFUSED : USED, "cut at %#lx of %#zx", cuts[i],
		     base->size)
			m.size = cuts[i];
	CASE(USED, "one byte more")
		m.size++;
	CASE(USED, "60000 bytes more") {
		memset(m.bytes + m.size, 0x5a, 60000);
		m.size += 60000;
	}
	CASE(REFUSED, "the section is a hole") {
		memset(slot(&m, 0), 0, size);
		hole_start = offset;
		hole_end = offset + size;
	}
	CASE(USED, "the older slot is a hole") {
		memset(older(&m), 0, size / 2);
		hole_start = (uint8_t *)older(&m) - m.bytes;
		hole_end = hole_start + size / 2;
		no_write = 1;
	}
	for (int shift = 31; shift <= 40; shift += 3)
		CASE(COUNTED, "section and headers at 2^%d of a sparse file", shift) {
			uint64_t move = (1ull << shift) - offset;
			Elf64_Shdr *sh = find_bitmap(&m);

			far_size = m.size - offset;
			far_offset = 1ull << shift;
			sh->sh_offset += move;
			sh = (void *)(m.bytes + ehdr(&m)->e_shoff);
			sh[ehdr(&m)->e_shstrndx].sh_offset += move;
			ehdr(&m)->e_shoff += move;
			find_segment(&m, PT_GNU_STACK)->p_offset += move;
		}
}

static void random_cases(void)
{
	const uint64_t offset = find_bitmap(base)->sh_offset;
	unsigned int seed = 20080318;

	for (int i = 0; i < 80; i++)
		CASE(COUNTED, "random damage %d", i) {
			struct slot_header *s = newest(&m);
			/* half of them in the slots, with the checksum made right */
			uint64_t range = i & 1 ? m.size - offset : 512;
			uint8_t *from = i & 1 ? m.bytes + offset : (uint8_t *)s;

			for (int n = rand_r(&seed) % 8; n >= 0; n--)
				from[rand_r(&seed) % range] ^= 1 << rand_r(&seed) % 8;
			if (!(i & 1))
				fix_crc(&m, s);
		}
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "-v")) {
		verbose = 1;
		argv++;
		argc--;
	}
	if (argc != 5)
		errx(2, "usage: hostile [-v] STATS ORIGINAL ANNOTATED COPY");
	setvbuf(stdout, NULL, _IOLBF, 0);
	stats = argv[1];
	copy = argv[4];
	base_both = image_read(argv[3], 1 << 17);
	base_single = image_read(argv[3], 1 << 17);
	if (newest_slot(&base_both) < 0 || !slot_valid(&base_both, slot(&base_both, 0)) ||
	    !slot_valid(&base_both, slot(&base_both, 1)) ||
	    !executable_record(newest(&base_both)) ||
	    !executable_record(newest(&base_both))->plane_count)
		errx(2, "%s: both slots must be valid and trained", argv[3]);
	memset(older(&base_single), 0, newest(&base_both)->slot_size);
	expected = run(argv[2]);

	base = &base_both;
	CASE(USED, "as it is")
		;
	base = &base_single;
	CASE(USED, "as it is, with one slot")
		;
	record_fields("profile", profile_fields, COUNT(profile_fields), profile_at);
	record_fields("file", file_fields, COUNT(file_fields), file_at);
	base = &base_both;
	header_cases();
	slot_cases();
	section_cases();
	overlap_cases();
	locator_cases();
	size_cases();
	random_cases();

	if (counters_settle(stats, 0, 10000))
		failed_case("all of them", "recorders are left");
	unlink(copy);
	printf("cases=%d failed=%d used=%d refused=%d left_alone=%d\n", cases, failures, used_cases,
	       refused_cases, alone_cases);
	return failures != 0;
}
