// SPDX-License-Identifier: GPL-2.0
/*
 * check-cut -n NAME -d DISK -m PLACE -t TYPE [-o OPTIONS] -f FSCK -e OUTPUT LEDGER...
 * check-cut describe DIRECTORY PROGRAM...
 *
 * What is left after a power cut: mounts DISK, looks at each program of the ledger,
 * starts it, unmounts the disk and lets FSCK (a command with its options) look at
 * it. Prints a line of JSON with NAME; the status is 1 if something is wrong.
 *
 * The ledger says what was known of the programs when the power went. "describe"
 * prints the lines that say what is there now: all but the last kind.
 *
 *	PROGRAM:whole:SIZE:CRC		the file without a bitmap
 *	PROGRAM:outside:SIZE:CRC	the file with one, all bytes but the bitmap's
 *	PROGRAM:bitmap:GENERATION:CRC	one that was written
 *	PROGRAM:written:GENERATION	write() of it had returned
 *	PROGRAM:synced:GENERATION	it was on the disk: fsync() had returned
 *
 * Of the last two the last line counts, and what was synced was written. Generation 0
 * is the file without a bitmap.
 *
 * What must hold. The file is byte for byte what it was outside of the section. The
 * bitmap in force is valid. It is the last one that was written, or the one that was
 * being written ("new"); or an older one ("old"), but not older than the one that was
 * synced. In a section it is not older than the one before the last either, as a slot
 * is written only when the other one is on the disk. It is one of those that were
 * written, if they are known. The tool finds it valid, too. The program, which touches
 * the pages of TOUCHES, prints OUTPUT and its status is STATUS, and with the module
 * loaded this start is recorded: the generation is one higher then. (So what was
 * recorded before must not be just these pages.)
 *
 * A program with a section may have a later bitmap in a file of FOLDER, beside it; it
 * is subject to the same. Such a file may have no valid bitmap as long as the one in
 * the section would do.
 *
 * PBITMAP_TOOL is the tool.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <libgen.h>
#include <linux/btrfs.h>
#include <linux/limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include "counters.h"
#include "format.h"

#define FOLDER "bitmaps"
#define FOLDER_SYSCTL "/proc/sys/vm/pbitmap_dir"
#define STATS "/sys/kernel/debug/pbitmap/stats"
#define TOUCHES "t:0-7", "r:3", "d:2", "sum", "exit:4"
#define STATUS 4

#define MAX_PROGRAMS 8
#define MAX_BITMAPS 512

struct checksum {
	size_t size;
	uint32_t crc;
};

/* Generation 0: there is none, or it is not valid. */
struct bitmap {
	enum { NOWHERE, SECTION, ATTRIBUTE } place;
	uint64_t generation;
	uint32_t crc;
};

/* A program as it is on the disk. */
struct state {
	struct checksum sum;
	struct bitmap bitmap;
};

struct program {
	char name[32];
	struct checksum whole, outside;
	struct bitmap bitmaps[MAX_BITMAPS];
	int bitmap_count;
	uint64_t written, synced;
};

static struct program programs[MAX_PROGRAMS];
static int program_count;

/* What the child that looks at the mounted disk has found. */
static struct found {
	int old, new;
	char problems[2048];
} *found;

static __attribute__((format(printf, 1, 2))) void problem(const char *format, ...)
{
	size_t len = strlen(found->problems);
	va_list args;

	if (len && len + 2 < sizeof(found->problems)) {
		strcpy(found->problems + len, "; ");
		len += 2;
	}
	va_start(args, format);
	vsnprintf(found->problems + len, sizeof(found->problems) - len, format, args);
	va_end(args);
}

static char *path_of(const char *directory, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		err(2, "asprintf");
	return path;
}

static void take_newer(struct bitmap *bitmap, const struct slot_header *slot)
{
	if (slot->generation > bitmap->generation) {
		bitmap->generation = slot->generation;
		bitmap->crc = slot->crc;
	}
}

/* Take what the folder has for the program of @slot, if that is later. */
static void take_from_folder(struct bitmap *bitmap, const struct slot_header *slot, const char *program)
{
	char name[sizeof(FOLDER) + 2 * sizeof(slot->build_id) + sizeof("/.pbitmap")] = FOLDER "/";
	char *path, *directory = strdup(program);
	struct image image;

	for (int i = 0; i < slot->build_id_len && i < (int)sizeof(slot->build_id); i++)
		sprintf(name + strlen(name), "%02x", slot->build_id[i]);
	strcat(name, ".pbitmap");
	path = path_of(dirname(directory), name);
	if (!access(path, F_OK)) {
		image = image_read(path, 0);
		for (size_t size = image.size / 2, i = 0; size >= sizeof(*slot) && i < 2; i++)
			if (slot_valid_in((void *)(image.bytes + i * size), size))
				take_newer(bitmap, (void *)(image.bytes + i * size));
		free(image.bytes);
	}
	free(path);
	free(directory);
}

static struct bitmap bitmap_of(const struct image *image, const char *path)
{
	static uint8_t value[XATTR_SIZE_MAX];
	ssize_t size = getxattr(path, "user.pbitmap", value, sizeof(value));
	struct bitmap bitmap = { NOWHERE, 0, 0 };
	int newest;

	if (size >= 0) {
		bitmap.place = ATTRIBUTE;
		bitmap.generation = packed_generation(value, size);
		if (bitmap.generation)
			memcpy(&bitmap.crc, value + 4, 4);
	} else if (find_bitmap(image)) {
		bitmap.place = SECTION;
		newest = newest_slot(image);
		if (newest >= 0) {
			take_newer(&bitmap, slot(image, newest));
			take_from_folder(&bitmap, slot(image, newest), path);
		}
	}
	return bitmap;
}

static struct state state_of(const char *path)
{
	struct image image = image_read(path, 0);
	const Elf64_Shdr *section = find_bitmap(&image);
	size_t end = section ? section->sh_offset : image.size;
	struct state state = { .sum.size = image.size, .bitmap = bitmap_of(&image, path) };

	state.sum.crc = crc32c_update(~0u, image.bytes, end);
	if (section) {
		end += section->sh_size;
		state.sum.crc = crc32c_update(state.sum.crc, image.bytes + end, image.size - end);
	}
	free(image.bytes);
	return state;
}

static void describe(const char *directory, const char *name)
{
	struct state now = state_of(path_of(directory, name));
	const char *what = now.bitmap.place == SECTION ? "outside" : "whole";

	printf("%s:%s:%zu:%08x\n", name, what, now.sum.size, now.sum.crc);
	if (now.bitmap.generation)
		printf("%s:bitmap:%lu:%08x\n", name, now.bitmap.generation, now.bitmap.crc);
	printf("%s:written:%lu\n", name, now.bitmap.generation);
}

static struct program *program_named(const char *name)
{
	for (int i = 0; i < program_count; i++)
		if (!strcmp(programs[i].name, name))
			return &programs[i];
	if (program_count == MAX_PROGRAMS)
		errx(2, "too many programs");
	strcpy(programs[program_count].name, name);
	return &programs[program_count++];
}

static void read_ledger(const char *path)
{
	FILE *ledger = fopen(path, "re");
	char line[128], name[32], what[16];
	struct program *program;
	uint64_t number;
	uint32_t crc;

	if (!ledger)
		err(2, "%s", path);
	while (fgets(line, sizeof(line), ledger)) {
		crc = 0;
		if (sscanf(line, "%31[^:]:%15[^:]:%lu:%x", name, what, &number, &crc) < 3)
			continue;
		program = program_named(name);
		if (!strcmp(what, "whole")) {
			program->whole = (struct checksum){ number, crc };
		} else if (!strcmp(what, "outside")) {
			program->outside = (struct checksum){ number, crc };
		} else if (!strcmp(what, "written")) {
			program->written = number;
		} else if (!strcmp(what, "synced")) {
			program->synced = number;
			if (program->written < number)
				program->written = number;
		} else if (!strcmp(what, "bitmap")) {
			if (program->bitmap_count == MAX_BITMAPS)
				errx(2, "too many bitmaps");
			program->bitmaps[program->bitmap_count++] =
				(struct bitmap){ NOWHERE, number, crc };
		}
	}
	fclose(ledger);
}

/* Whether a bitmap of this generation, if it is known, has these contents. */
static int is_known(const struct program *program, struct bitmap bitmap)
{
	uint64_t last = 0;

	for (int i = 0; i < program->bitmap_count; i++) {
		if (program->bitmaps[i].generation == bitmap.generation)
			return program->bitmaps[i].crc == bitmap.crc;
		if (last < program->bitmaps[i].generation)
			last = program->bitmaps[i].generation;
	}
	return bitmap.generation > last;
}

static void check_bytes(const struct program *program, const struct state *state, const char *when)
{
	const struct checksum *expected = &program->whole;

	if (state->bitmap.place == SECTION)
		expected = &program->outside;
	if (state->sum.size != expected->size || state->sum.crc != expected->crc)
		problem("%s: %s, other bytes", program->name, when);
}

static void check_bitmap(const struct program *program, struct bitmap bitmap)
{
	uint64_t oldest = program->synced;

	if (bitmap.place != ATTRIBUTE && oldest + 1 < program->written)
		oldest = program->written - 1;
	if (bitmap.place != NOWHERE && !bitmap.generation)
		problem("%s: no valid bitmap", program->name);
	else if (bitmap.generation < oldest || bitmap.generation > program->written + 1)
		problem("%s: generation %lu, after %lu was written and %lu synced", program->name,
			bitmap.generation, program->written, program->synced);
	else if (bitmap.generation && !is_known(program, bitmap))
		problem("%s: a bitmap of generation %lu that was never written", program->name,
			bitmap.generation);
	else if (bitmap.generation < program->written)
		found->old++;
	else if (bitmap.generation)
		found->new++;
}

/* The status of a command, and at most @room bytes of what it prints. */
static int output_of(char **command, char *output, size_t room)
{
	int ends[2], status = -1;
	size_t len = 0;
	pid_t child;
	ssize_t n;

	if (pipe(ends))
		err(2, "pipe");
	child = fork();
	if (!child) {
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		close(ends[0]);
		close(ends[1]);
		execvp(command[0], command);
		err(127, "%s", command[0]);
	}
	close(ends[1]);
	/* The end of a long output says more than its beginning. */
	while (room > 1 && (n = read(ends[0], output + len, room - 1 - len)) > 0) {
		len += n;
		if (len == room - 1) {
			memmove(output, output + len / 2, len - len / 2);
			len -= len / 2;
		}
	}
	output[len] = 0;
	close(ends[0]);
	if (child < 0 || waitpid(child, &status, 0) != child)
		err(2, "fork");
	while (len && output[len - 1] == '\n')
		output[--len] = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Why a start was not recorded: the counters that it moved. */
static const char *grown(const struct counters *before)
{
	static char text[512];
	struct counters after;
	size_t len = 0;

	text[0] = 0;
	counters_read(STATS, &after);
	for (int i = 0; i < after.count && len < sizeof(text); i++)
		if (after.list[i].value != before->list[i].value)
			len += snprintf(text + len, sizeof(text) - len, " %s %+lld", after.list[i].name,
					after.list[i].value - before->list[i].value);
	return text;
}

static void check_program(const struct program *program, char *path, const char *expected)
{
	char *with_tool[] = { getenv("PBITMAP_TOOL"), "check", path, NULL };
	char *start[] = { path, TOUCHES, NULL };
	char output[256];
	struct state before, after;
	struct counters counters;
	int status;

	if (access(path, X_OK)) {
		problem("%s: %s", program->name, strerror(errno));
		return;
	}
	before = state_of(path);
	check_bytes(program, &before, "after the cut");
	check_bitmap(program, before.bitmap);
	if (before.bitmap.place != NOWHERE) {
		status = output_of(with_tool, output, sizeof(output));
		if (status)
			problem("%s: the tool says %d: %s", program->name, status, output);
	}

	counters_read(STATS, &counters);
	status = output_of(start, output, sizeof(output));
	if (status != STATUS || strcmp(output, expected))
		problem("%s: status %d, output %s", program->name, status, output);
	if (counters_settle(STATS, 0, 10000))
		problem("%s: the module does not settle", program->name);
	after = state_of(path);
	check_bytes(program, &after, "after a start");
	if (before.bitmap.generation &&
	    after.bitmap.generation != before.bitmap.generation + 1)
		problem("%s: generation %lu after a start, %lu before; grown:%s", program->name,
			after.bitmap.generation, before.bitmap.generation, grown(&counters));
}

static void use_folder(const char *path)
{
	int fd = open(FOLDER_SYSCTL, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, path, strlen(path)) < 0)
		problem(FOLDER_SYSCTL ": %s", strerror(errno));
	close(fd);
}

/* In a child of its own: whatever happens here, the disk is unmounted. */
static void check_programs(const char *place, const char *expected)
{
	pid_t child = fork();
	int status;

	if (!child) {
		use_folder(path_of(place, FOLDER));
		for (int i = 0; i < program_count; i++)
			check_program(&programs[i], path_of(place, programs[i].name), expected);
		exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		err(2, "fork");
	if (status)
		problem("looking at the programs failed: status 0x%x", status);
}

/* btrfs remembers where it has seen a filesystem, and would refuse an older one. */
static void forget_disks(void)
{
	struct btrfs_ioctl_vol_args all = { 0 };
	int fd = open("/dev/btrfs-control", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		ioctl(fd, BTRFS_IOC_FORGET_DEV, &all);
		close(fd);
	}
}

static int unmounted(const char *place)
{
	for (int tries = 0; tries < 500; tries++) {
		if (!umount(place))
			return 1;
		usleep(10000);
	}
	problem("umount: %s", strerror(errno));
	umount2(place, MNT_DETACH);
	return 0;
}

static int is_clean(char *fsck, char *disk)
{
	char *command[16], output[400];
	int n = 0, status;

	for (char *word = strtok(fsck, " "); word && n < 14; word = strtok(NULL, " "))
		command[n++] = word;
	command[n++] = disk;
	command[n] = NULL;
	status = output_of(command, output, sizeof(output));
	if (status)
		problem("%s says %d: %s", command[0], status, output);
	return !status;
}

static void print_text(const char *text)
{
	putchar('"');
	for (; *text; text++)
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else
			putchar((unsigned char)*text < ' ' ? ' ' : *text);
	putchar('"');
}

int main(int argc, char **argv)
{
	char *name = NULL, *disk = NULL, *place = NULL, *type = NULL, *options = "", *fsck = NULL, *output = NULL;
	const char *number = getenv("CUT_NUMBER"), *kind = getenv("CUT_KIND"), *at = getenv("CUT_AT");
	int option, clean = 0;

	if (argc > 3 && !strcmp(argv[1], "describe")) {
		for (int i = 3; i < argc; i++)
			describe(argv[2], argv[i]);
		return 0;
	}
	while ((option = getopt(argc, argv, "n:d:m:t:o:f:e:")) != -1)
		switch (option) {
		case 'n':
			name = optarg;
			break;
		case 'd':
			disk = optarg;
			break;
		case 'm':
			place = optarg;
			break;
		case 't':
			type = optarg;
			break;
		case 'o':
			options = optarg;
			break;
		case 'f':
			fsck = optarg;
			break;
		case 'e':
			output = optarg;
			break;
		default:
			return 2;
		}
	if (!name || !disk || !place || !type || !fsck || !output || optind == argc)
		errx(2, "usage: check-cut -n NAME -d DISK -m PLACE -t TYPE [-o OPTIONS] -f FSCK -e OUTPUT LEDGER...");
	while (optind < argc)
		read_ledger(argv[optind++]);
	if (!program_count)
		errx(2, "the ledger has no program");
	found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (found == MAP_FAILED)
		err(2, "mmap");

	if (!strcmp(type, "btrfs"))
		forget_disks();
	if (mount(disk, place, type, 0, options)) {
		problem("mount: %s", strerror(errno));
	} else {
		check_programs(place, output);
		if (unmounted(place))
			clean = is_clean(fsck, disk);
	}
	printf("{\"name\": \"%s\", \"cut\": %s, \"kind\": \"%s\", \"at\": %s, \"old\": %d, \"new\": %d, \"clean\": %s, \"problems\": ",
	       name, number ? number : "0", kind ? kind : "", at ? at : "0", found->old, found->new,
	       clean ? "true" : "false");
	print_text(found->problems);
	puts("}");
	return found->problems[0] != 0;
}
