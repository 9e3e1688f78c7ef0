// SPDX-License-Identifier: GPL-2.0
/*
 * elf - look at an annotated file, or change one thing in an ELF file, in place.
 *
 *	elf pages FILE          the recorded pages of the executable, a number a line
 *	elf slot FILE           "slot=N generation=N updated=N runs=N pages=N"
 *	elf where FILE          "offset=N size=N" of the section
 *	elf outside FILE        a checksum of everything but the section
 *	elf mark FILE           set the marker (32-bit files too), add nothing else
 *	elf unmark FILE         clear it
 *	elf machine FILE NUMBER another e_machine
 *	elf interp FILE PATH    another, not longer, path in PT_INTERP
 *	elf load-at FILE ADDR   move the last PT_LOAD to another address
 *	elf section FILE        a section header of the bitmap's type over the last one
 *	elf fix FILE            make the slots fit the file again: identity and checksums
 */
#include <stdio.h>
#include "format.h"

static int show_slot(const struct image *image)
{
	int i = newest_slot(image);
	struct slot_header *s;
	struct file_record *f;
	unsigned int pages = 0;

	if (i < 0) {
		puts("no valid slot");
		return 1;
	}
	s = slot(image, i);
	f = executable_record(s);
	if (f && f->plane_count)
		for (uint32_t n = 0; n < f->page_count; n++)
			pages += ((uint8_t *)s)[f->planes_offset + n / 8] >> n % 8 & 1;
	printf("slot=%d generation=%lu updated=%lu runs=%u pages=%u\n", i, s->generation,
	       s->updated,
	       s->profile_count ? ((struct profile_record *)((uint8_t *)s + s->profiles_offset))->runs :
				  0,
	       pages);
	return 0;
}

static int show_pages(const struct image *image)
{
	int i = newest_slot(image);
	struct slot_header *s;
	struct file_record *f;

	if (i < 0)
		return 1;
	s = slot(image, i);
	f = executable_record(s);
	if (f && f->plane_count)
		for (uint32_t n = 0; n < f->page_count; n++)
			if (((uint8_t *)s)[f->planes_offset + n / 8] >> n % 8 & 1)
				printf("%lu\n", f->first_page + n);
	return 0;
}

static void mark(struct image *image, int on)
{
	int found = 0;

	if (image->bytes[EI_CLASS] == ELFCLASS32) {
		Elf32_Ehdr *eh = (void *)image->bytes;
		Elf32_Phdr *ph = (void *)(image->bytes + eh->e_phoff);

		for (int i = 0; i < eh->e_phnum; i++)
			if (ph[i].p_type == PT_GNU_STACK) {
				ph[i].p_flags = (ph[i].p_flags & ~PF_PBITMAP) | (on ? PF_PBITMAP : 0);
				found = 1;
			}
	} else {
		Elf64_Phdr *ph = find_segment(image, PT_GNU_STACK);

		if (ph) {
			ph->p_flags = (ph->p_flags & ~PF_PBITMAP) | (on ? PF_PBITMAP : 0);
			found = 1;
		}
	}
	if (!found)
		errx(1, "no PT_GNU_STACK");
}

static void add_section(struct image *image)
{
	if (image->bytes[EI_CLASS] == ELFCLASS32) {
		Elf32_Ehdr *eh = (void *)image->bytes;
		Elf32_Shdr *sh = (void *)(image->bytes + eh->e_shoff);

		sh[eh->e_shnum - 1].sh_type = SHT_PRESENT_BITMAP;
	} else {
		Elf64_Shdr *sh = (void *)(image->bytes + ehdr(image)->e_shoff);

		sh[ehdr(image)->e_shnum - 1].sh_type = SHT_PRESENT_BITMAP;
	}
}

int main(int argc, char **argv)
{
	const char *what, *path, *value;
	struct image image;
	Elf64_Phdr *ph;

	if (argc < 3)
		errx(2, "usage: elf WHAT FILE [VALUE]");
	what = argv[1];
	path = argv[2];
	value = argc > 3 ? argv[3] : "";
	image = image_read(path, 0);
	if (image.size < sizeof(Elf64_Ehdr) || memcmp(image.bytes, ELFMAG, SELFMAG))
		errx(2, "%s: not an ELF file", path);

	if (!strcmp(what, "slot"))
		return show_slot(&image);
	if (!strcmp(what, "pages"))
		return show_pages(&image);
	if (!strcmp(what, "where") || !strcmp(what, "outside")) {
		Elf64_Shdr *sh = find_bitmap(&image);

		if (!sh)
			errx(1, "%s: no section", path);
		if (!strcmp(what, "where")) {
			printf("offset=%lu size=%lu\n", sh->sh_offset, sh->sh_size);
		} else {
			uint32_t crc = crc32c_update(~0u, image.bytes, sh->sh_offset);
			uint64_t end = sh->sh_offset + sh->sh_size;

			printf("%zu %08x\n", image.size,
			       crc32c_update(crc, image.bytes + end, image.size - end));
		}
		return 0;
	}

	if (!strcmp(what, "mark")) {
		mark(&image, 1);
	} else if (!strcmp(what, "unmark")) {
		mark(&image, 0);
	} else if (!strcmp(what, "section")) {
		add_section(&image);
	} else if (!strcmp(what, "machine")) {
		ehdr(&image)->e_machine = strtoul(value, NULL, 0);
	} else if (!strcmp(what, "interp")) {
		ph = find_segment(&image, PT_INTERP);
		if (!ph || strlen(value) >= ph->p_filesz)
			errx(1, "%s: no room in PT_INTERP", path);
		memset(image.bytes + ph->p_offset, 0, ph->p_filesz);
		memcpy(image.bytes + ph->p_offset, value, strlen(value));
	} else if (!strcmp(what, "load-at")) {
		ph = NULL;
		for (int i = 0; i < ehdr(&image)->e_phnum; i++)
			if (phdrs(&image)[i].p_type == PT_LOAD)
				ph = &phdrs(&image)[i];
		if (!ph)
			errx(1, "%s: no PT_LOAD", path);
		ph->p_vaddr = strtoul(value, NULL, 0) + ph->p_offset % 4096;
	} else if (!strcmp(what, "fix")) {
		for (int i = 0; i < 2; i++)
			if (find_bitmap(&image) && slot_valid(&image, slot(&image, i))) {
				slot(&image, i)->layout_crc = layout_crc(&image);
				slot(&image, i)->crc = slot_crc(slot(&image, i));
			}
	} else {
		errx(2, "elf: no such thing: %s", what);
	}
	image_write(&image, path);
	return 0;
}
