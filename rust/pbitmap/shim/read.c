// SPDX-License-Identifier: GPL-2.0
/*
 * Being told of what address spaces with an mmu notifier read: files, and metadata,
 * which is in the page cache of the device.
 */
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/sched.h>

#include "shim.h"

/* Whether current runs a program that may be recorded; most do not. */
static bool pbm_is_watched(void)
{
	const struct mm_struct *mm = current->mm;

	return unlikely(mm && mm->notifier_subscriptions) &&
	       !(current->flags & (PF_KTHREAD | PF_USER_WORKER | PF_EXITING));
}

/*
 * Runs when @first is in memory, for all reads of the machine. @last is what was
 * asked for, which may be after the end of the file.
 */
static void pbm_read_probe(void *data, struct address_space *mapping, pgoff_t first,
			   pgoff_t last)
{
	const struct inode *inode = mapping->host;
	struct pbm_read read;
	loff_t size;

	if (likely(!pbm_is_watched()) || !S_ISREG(inode->i_mode))
		return;
	size = i_size_read(inode);
	if (size <= 0 || first > (size - 1) >> PAGE_SHIFT)
		return;
	read.dev = inode->i_sb->s_dev;
	read.ino = inode->i_ino;
	read.generation = inode->i_generation;
	read.first = first;
	read.last = min_t(pgoff_t, last, (size - 1) >> PAGE_SHIFT);
	pbm_read(current->mm, &read);
}

/*
 * Runs for each folio that comes to the page cache of a file or a device, locked by
 * current. (Blocks of one that is cached already need no read.)
 */
static void pbm_added_probe(void *data, struct folio *folio)
{
	if (likely(!pbm_is_watched()) || !S_ISBLK(folio->mapping->host->i_mode))
		return;
	pbm_added(current->mm, folio->mapping, folio->index, folio_nr_pages(folio));
}

static struct pbm_probes pbm_read_probes = {
	.names = { "mm_filemap_get_pages", "mm_filemap_add_to_page_cache" },
	.calls = { pbm_read_probe, pbm_added_probe },
};

bool pbm_read_find(void)
{
	return pbm_probes_find(&pbm_read_probes);
}

bool pbm_read_register(void)
{
	return pbm_probes_register(&pbm_read_probes);
}

void pbm_read_unregister(void)
{
	pbm_probes_unregister(&pbm_read_probes);
}
