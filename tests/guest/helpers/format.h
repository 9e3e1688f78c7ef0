/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The on-disk format as Documentation/format.rst describes it, written down a
 * second time on purpose: the tests do not take the module's word for it.
 */
#ifndef FORMAT_H
#define FORMAT_H

#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHT_PRESENT_BITMAP 0x6ffffc18
#define PF_PBITMAP 0x8
#define SLOT_MAGIC "PBITMAP"

struct slot_header {
	char magic[8];
	uint16_t version, header_size;
	uint32_t page_size, compat, incompat;
	uint64_t generation;
	uint32_t slot_size, used_bytes, crc, layout_crc;
	uint8_t build_id[20], build_id_len, zero0[3];
	uint64_t updated;
	uint32_t profiles_offset;
	uint16_t profile_count, zero1;
	uint32_t files_offset, file_count;
	uint64_t elf_size;
	uint8_t zero2[24];
};
_Static_assert(sizeof(struct slot_header) == 128, "slot header");

struct profile_record {
	uint16_t kind, flags;
	uint32_t key_len, key_offset, first_file, file_count, runs;
	uint64_t last_used;
	uint8_t zero[32];
};
_Static_assert(sizeof(struct profile_record) == 64, "profile record");

struct file_record {
	uint16_t kind, flags, encoding, plane_count;
	uint32_t path_offset, path_len;
	uint64_t first_page;
	uint32_t page_count, plane_stride, planes_offset, generation;
	uint64_t dev, ino, size, mtime_sec;
	uint32_t mtime_nsec, build_id_len;
	uint8_t build_id[20];
	uint32_t data_page;
	uint8_t zero[24];
};
_Static_assert(sizeof(struct file_record) == 128, "file record");

static inline uint32_t crc32c_update(uint32_t crc, const void *data, size_t n)
{
	static uint32_t table[256];
	const uint8_t *p = data;

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (int bit = 0; bit < 8; bit++)
				c = c >> 1 ^ (c & 1 ? 0x82f63b78 : 0);
			table[i] = c;
		}
	while (n--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

/* A file in memory, with room to make it longer. */
struct image {
	uint8_t *bytes;
	size_t size, room;
};

static inline struct image image_read(const char *path, size_t extra)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct image image;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", path);
	image.size = st.st_size;
	image.room = image.size + extra;
	image.bytes = calloc(1, image.room + 1);
	if (!image.bytes)
		err(2, "calloc");
	for (size_t done = 0; done < image.size;) {
		ssize_t n = read(fd, image.bytes + done, image.size - done);

		if (n <= 0)
			err(2, "%s", path);
		done += n;
	}
	close(fd);
	return image;
}

/* Write in place, or to a new file. */
static inline void image_write(const struct image *image, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	if (fd < 0)
		err(2, "%s", path);
	if (pwrite(fd, image->bytes, image->size, 0) != (ssize_t)image->size ||
	    ftruncate(fd, image->size))
		err(2, "%s", path);
	close(fd);
}

static inline Elf64_Ehdr *ehdr(const struct image *image)
{
	return (Elf64_Ehdr *)image->bytes;
}

static inline Elf64_Phdr *phdrs(const struct image *image)
{
	return (Elf64_Phdr *)(image->bytes + ehdr(image)->e_phoff);
}

static inline Elf64_Phdr *find_segment(const struct image *image, uint32_t type)
{
	for (int i = 0; i < ehdr(image)->e_phnum; i++)
		if (phdrs(image)[i].p_type == type)
			return &phdrs(image)[i];
	return NULL;
}

/* The section header of the bitmap, or NULL; the last one, if there are several. */
static inline Elf64_Shdr *find_bitmap(const struct image *image)
{
	Elf64_Ehdr *eh = ehdr(image);
	Elf64_Shdr *sh;

	if (image->size < sizeof(*eh))
		return NULL;
	sh = (Elf64_Shdr *)(image->bytes + eh->e_shoff);
	if (!eh->e_shoff || eh->e_shoff + eh->e_shnum * sizeof(*sh) > image->size)
		return NULL;
	for (int i = eh->e_shnum - 1; i >= 0; i--)
		if (sh[i].sh_type == SHT_PRESENT_BITMAP &&
		    sh[i].sh_offset + sh[i].sh_size <= image->size)
			return &sh[i];
	return NULL;
}

static inline struct slot_header *slot(const struct image *image, int i)
{
	Elf64_Shdr *sh = find_bitmap(image);

	return sh ? (struct slot_header *)(image->bytes + sh->sh_offset + i * (sh->sh_size / 2)) :
		    NULL;
}

static inline uint32_t slot_crc(const struct slot_header *s)
{
	const uint32_t zero = 0;
	size_t crc_at = offsetof(struct slot_header, crc);
	uint32_t crc = crc32c_update(~0u, s, crc_at);

	crc = crc32c_update(crc, &zero, 4);
	return ~crc32c_update(crc, (const uint8_t *)s + crc_at + 4, s->used_bytes - crc_at - 4);
}

static inline int slot_valid_in(const struct slot_header *s, size_t size)
{
	return !memcmp(s->magic, SLOT_MAGIC, 8) && s->version == 1 && s->slot_size == size &&
	       s->used_bytes >= 128 && s->used_bytes <= s->slot_size && s->crc == slot_crc(s);
}

static inline int slot_valid(const struct image *image, const struct slot_header *s)
{
	Elf64_Shdr *sh = find_bitmap(image);

	return sh && slot_valid_in(s, sh->sh_size / 2);
}

/* The index of the slot in force, or -1. */
static inline int newest_slot(const struct image *image)
{
	int best = -1;

	for (int i = 0; i < 2; i++)
		if (find_bitmap(image) && slot_valid(image, slot(image, i)) &&
		    (best < 0 || slot(image, i)->generation > slot(image, best)->generation))
			best = i;
	return best;
}

static inline uint32_t layout_crc(const struct image *image)
{
	Elf64_Ehdr *eh = ehdr(image);
	uint32_t crc = crc32c_update(~0u, &eh->e_type, 2);

	crc = crc32c_update(crc, &eh->e_machine, 2);
	crc = crc32c_update(crc, &eh->e_entry, 8);
	for (int i = 0; i < eh->e_phnum; i++)
		if (phdrs(image)[i].p_type != PT_GNU_STACK)
			crc = crc32c_update(crc, &phdrs(image)[i], sizeof(Elf64_Phdr));
	return ~crc;
}

/* A number of a packed slot: 7 bits for its length, then all but its highest bit. */
static inline uint64_t packed_number(const uint8_t *bytes, size_t size, size_t *bit)
{
	uint64_t parts[2] = { 0, 0 };	/* the length, the rest */
	size_t lens[2] = { 7, 0 };

	for (int part = 0; part < 2; part++) {
		for (size_t i = 0; i < lens[part] && *bit / 8 < size; i++, ++*bit)
			parts[part] |= (uint64_t)(bytes[*bit / 8] >> *bit % 8 & 1) << i;
		if (!part)
			lens[1] = parts[0] ? parts[0] - 1 : 0;
	}
	return parts[0] ? parts[1] | 1ULL << (parts[0] - 1) % 64 : 0;
}

/*
 * The generation of a packed slot, the value of an attribute: 0 if it is not valid.
 * Its checksum is in the bytes from 4 on.
 */
static inline uint64_t packed_generation(const uint8_t *value, size_t size)
{
	uint32_t crc;
	size_t bit = 0;

	if (size < 8 || memcmp(value, "PBM1", 4))
		return 0;
	memcpy(&crc, value + 4, 4);
	value += 8;
	size -= 8;
	if (crc != ~crc32c_update(~0u, value, size))
		return 0;
	/* slot size, room, page size, features, identity */
	for (int i = 0; i < 5; i++)
		packed_number(value, size, &bit);
	/* the build id: its length, and from the next byte on the bytes */
	bit = (packed_number(value, size, &bit) + (bit + 7) / 8) * 8;
	/* bytes of the file, the kind of its profiles, how many of them, and of planes */
	for (int i = 0; i < 4; i++)
		packed_number(value, size, &bit);
	return packed_number(value, size, &bit);
}

/* The executable's record in the first profile, or NULL. */
static inline struct file_record *executable_record(struct slot_header *s)
{
	struct profile_record *p = (void *)((uint8_t *)s + s->profiles_offset);
	struct file_record *f = (void *)((uint8_t *)s + s->files_offset);

	if (!s->profile_count)
		return NULL;
	for (uint32_t i = p->first_file; i < p->first_file + p->file_count; i++)
		if (f[i].kind == 0)
			return &f[i];
	return NULL;
}

#endif
