// SPDX-License-Identifier: GPL-2.0
/* The binary format at the head of the list. */
#include <linux/binfmts.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "shim.h"

/*
 * Copy the new program's arguments, one string after the other, as far as they
 * fit. Returns how many bytes that are.
 */
size_t pbm_exec_arguments(struct linux_binprm *bprm, void *to, size_t len)
{
	unsigned long at = bprm->p;
	size_t copied = 0;

	mmap_read_lock(bprm->mm);
	while (copied < len && at < bprm->exec) {
		size_t part = min3(len - copied, PAGE_SIZE - offset_in_page(at),
				   (size_t)(bprm->exec - at));
		struct page *page;

		if (get_user_pages_remote(bprm->mm, at, 1, FOLL_FORCE, &page, NULL) != 1)
			break;
		memcpy_from_page(to + copied, page, offset_in_page(at), part);
		put_page(page);
		copied += part;
		at += part;
	}
	mmap_read_unlock(bprm->mm);
	return copied;
}

static int pbm_load_binary(struct linux_binprm *bprm)
{
	const struct pbm_exec exec = {
		.file = bprm->file,
		.mm = bprm->mm,
		.head = bprm->buf,
		.filename = bprm->filename,
		.interp = bprm->interp,
		.argc = bprm->argc,
		.bprm = bprm,
	};

	pbm_exec(&exec);
	/* The only answer that lets the next format try, with bprm untouched. */
	return -ENOEXEC;
}

static struct linux_binfmt pbm_format = {
	.module = THIS_MODULE,
	.load_binary = pbm_load_binary,
};

void pbm_binfmt_register(void)
{
	/* At the head: the formats behind us stop the search when they accept. */
	insert_binfmt(&pbm_format);
}

void pbm_binfmt_unregister(void)
{
	unregister_binfmt(&pbm_format);
}
