// SPDX-License-Identifier: GPL-2.0
/* Being told of the files that address spaces with an mmu notifier read. */
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "shim.h"

static struct tracepoint *pbm_read_point;

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

static void pbm_find_point(struct tracepoint *point, void *unused)
{
	if (!strcmp(point->name, "mm_filemap_get_pages"))
		pbm_read_point = point;
}

/* False where the kernel has no such tracepoint. */
bool pbm_read_find(void)
{
	pbm_read_point = NULL;
	for_each_kernel_tracepoint(pbm_find_point, NULL);
	return pbm_read_point;
}

/* To be called only after pbm_read_find() has said yes. */
bool pbm_read_register(void)
{
	return !tracepoint_probe_register(pbm_read_point, pbm_read_probe, NULL);
}

/* No probe runs any more when this returns. */
void pbm_read_unregister(void)
{
	tracepoint_probe_unregister(pbm_read_point, pbm_read_probe, NULL);
	tracepoint_synchronize_unregister();
}
