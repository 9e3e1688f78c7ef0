// SPDX-License-Identifier: GPL-2.0
/*
 * records [-n TIMES] [-p PAGES] FILE PATH... - put file records into an annotated
 * FILE that nobody recorded: of each PATH, TIMES times, its first PAGES pages (64;
 * rounded up), whatever it has, in a slot that is valid otherwise. The identity is the one of what is at PATH, or
 * at what follows "=" in it ("written=looked-at"), of metadata ("metadata:N=device")
 * that of the ext4 filesystem on the device.
 *
 * What a user who may write a program can put into it by hand.
 */
#define _GNU_SOURCE
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include "format.h"

static uint32_t generation_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	unsigned int generation = 0;

	if (fd < 0)
		return 0;
	if (ioctl(fd, FS_IOC_GETVERSION, &generation))
		generation = 0;
	close(fd);
	return generation;
}

/* The next @size bytes of the slot @s, or the end of the program. */
static uint8_t *take(struct slot_header *s, size_t size)
{
	uint8_t *at = (uint8_t *)s + s->used_bytes;

	s->used_bytes += (size + 7) & ~7ul;
	if (s->used_bytes > s->slot_size)
		errx(2, "a slot of %u bytes is too small", s->slot_size);
	return at;
}

static uint32_t offset_in(const struct slot_header *s, const void *at)
{
	return (const uint8_t *)at - (const uint8_t *)s;
}

/* A device is known by the UUID of its filesystem and by its size. */
static void identify_device(struct file_record *f, const char *device)
{
	const off_t uuid = 1024 + 0x68; /* in the superblock of ext4 */
	int fd = open(device, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &f->size) ||
	    pread(fd, &f->mtime_sec, 8, uuid) != 8 || pread(fd, &f->ino, 8, uuid + 8) != 8)
		err(2, "%s", device);
	close(fd);
}

static void fill(struct slot_header *s, struct file_record *f, const char *path, size_t length,
		 const char *looked_at, unsigned int pages)
{
	struct stat st = { 0 };
	uint8_t *plane = take(s, pages / 8), *to;

	memset(plane, 0xff, pages / 8);
	f->plane_count = 1;
	f->page_count = pages;
	f->plane_stride = pages / 8;
	f->planes_offset = offset_in(s, plane);
	if (!path)
		return;
	to = take(s, length);
	memcpy(to, path, length);
	lstat(looked_at, &st);
	f->kind = 1;
	f->path_offset = offset_in(s, to);
	f->path_len = length;
	if (S_ISBLK(st.st_mode) && !strncmp(path, "metadata:", 9)) {
		identify_device(f, looked_at);
		return;
	}
	f->generation = S_ISREG(st.st_mode) ? generation_of(looked_at) : 0;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->size = st.st_size;
	f->mtime_sec = st.st_mtim.tv_sec;
	f->mtime_nsec = st.st_mtim.tv_nsec;
}

int main(int argc, char **argv)
{
	unsigned int times = 1, pages = 64, next = 0;
	struct profile_record *profile;
	struct file_record *files;
	struct slot_header *s;
	struct image image;
	int newest, opt;

	while ((opt = getopt(argc, argv, "n:p:")) != -1) {
		if (opt == 'n')
			times = atoi(optarg);
		else if (opt == 'p')
			pages = (atoi(optarg) + 63) & ~63;
		else
			return 2;
	}
	if (argc - optind < 2)
		errx(2, "no path");
	image = image_read(argv[optind], 0);
	newest = newest_slot(&image);
	if (newest < 0)
		errx(2, "%s: no valid slot", argv[optind]);
	s = slot(&image, !newest);
	memset(s, 0, slot(&image, newest)->slot_size);
	*s = *slot(&image, newest);
	s->generation++;
	s->used_bytes = sizeof(*s);
	profile = (struct profile_record *)take(s, sizeof(*profile));
	profile->runs = 1;
	profile->file_count = 1 + times * (argc - optind - 1);
	s->profiles_offset = offset_in(s, profile);
	s->profile_count = 1;
	files = (struct file_record *)take(s, profile->file_count * sizeof(*files));
	s->files_offset = offset_in(s, files);
	s->file_count = profile->file_count;
	fill(s, &files[next++], NULL, 0, NULL, pages);
	for (int i = optind + 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');
		size_t length = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);

		for (unsigned int n = 0; n < times; n++)
			fill(s, &files[next++], argv[i], length, equals ? equals + 1 : argv[i],
			     pages);
	}
	s->crc = slot_crc(s);
	image_write(&image, argv[optind]);
	return 0;
}
