// SPDX-License-Identifier: GPL-2.0
/*
 * Being told of what address spaces with an mmu notifier read: files, and metadata,
 * which is in the page cache of the device.
 */
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "shim.h"

static struct tracepoint *pbm_read_points[2];

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

static void pbm_find_point(struct tracepoint *point, void *unused)
{
	if (!strcmp(point->name, "mm_filemap_get_pages"))
		pbm_read_points[0] = point;
	else if (!strcmp(point->name, "mm_filemap_add_to_page_cache"))
		pbm_read_points[1] = point;
}

/* False where the kernel has no such tracepoints. */
bool pbm_read_find(void)
{
	pbm_read_points[0] = NULL;
	pbm_read_points[1] = NULL;
	for_each_kernel_tracepoint(pbm_find_point, NULL);
	return pbm_read_points[0] && pbm_read_points[1];
}

/* To be called only after pbm_read_find() has said yes. */
bool pbm_read_register(void)
{
	if (tracepoint_probe_register(pbm_read_points[0], pbm_read_probe, NULL))
		return false;
	if (tracepoint_probe_register(pbm_read_points[1], pbm_added_probe, NULL)) {
		tracepoint_probe_unregister(pbm_read_points[0], pbm_read_probe, NULL);
		tracepoint_synchronize_unregister();
		return false;
	}
	return true;
}

/* No probe runs any more when this returns. */
void pbm_read_unregister(void)
{
	tracepoint_probe_unregister(pbm_read_points[0], pbm_read_probe, NULL);
	tracepoint_probe_unregister(pbm_read_points[1], pbm_added_probe, NULL);
	tracepoint_synchronize_unregister();
}
