// SPDX-License-Identifier: GPL-2.0
/* The page cache of a file. */
#include <linux/backing-dev.h>
#include <linux/blkdev.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rcupdate_wait.h>
#include <linux/xarray.h>

#include "shim.h"

/* The most pages that one POSIX_FADV_WILLNEED reads; longer ones are cut. */
unsigned long pbm_readahead_limit(struct file *file)
{
	struct backing_dev_info *bdi = inode_to_bdi(pbm_mapping(&file->f_path)->host);

	return max_t(unsigned long, bdi->io_pages, file->f_ra.ra_pages);
}

bool pbm_is_cached(struct address_space *mapping, pgoff_t first, unsigned long pages)
{
	while (pages) {
		XA_STATE(xas, &mapping->i_pages, first);
		unsigned long part = min(pages, 4096UL), left = part;
		void *entry;

		rcu_read_lock();
		entry = xas_load(&xas);
		/* Inside of a large folio it has gone back to the folio's first page. */
		if (!xas_not_node(xas.xa_node) && !xas.xa_node->shift)
			xas.xa_offset = first & XA_CHUNK_MASK;
		/* A retry entry counts as missing; the caller looks closer then. */
		while (entry && !xa_is_value(entry) && !xa_is_retry(entry)) {
			struct xa_node *node = xas.xa_node;

			/* A full leaf needs no look at each of its slots. */
			if (!xas_not_node(node) && !node->shift &&
			    node->count == XA_CHUNK_SIZE && !node->nr_values) {
				unsigned long rest = XA_CHUNK_MASK - xas.xa_offset;
				unsigned long skip = min(left - 1, rest);

				xas.xa_index += skip;
				xas.xa_offset += skip;
				left -= skip;
			}
			if (!--left)
				break;
			entry = xas_next(&xas);
		}
		rcu_read_unlock();
		if (left)
			return false;
		first += part;
		pages -= part;
		cond_resched();
	}
	return true;
}

/* Whether pages of @file may be read as pbm_read_large_folios() does. */
static bool takes_large_folios(struct file *file)
{
	struct address_space *mapping = file->f_mapping;
	struct inode *inode = mapping->host;

	/* A filesystem that has its own fadvise may have the pages elsewhere. */
	return S_ISREG(inode->i_mode) && !IS_DAX(inode) && !file->f_op->fadvise &&
	       mapping == pbm_mapping(&file->f_path) && mapping->a_ops->readahead &&
	       mapping_large_folio_support(mapping) && !mapping_min_folio_order(mapping);
}

/*
 * Read @pages pages of a file from @first on, without waiting for them, in folios of up
 * to 64 KiB, which is what a page fault maps: each costs about what a page does. Says
 * whether that was done; if not, POSIX_FADV_WILLNEED will do.
 *
 * page_cache_async_ra() is what is exported of that. It goes on where a window of read
 * ahead ends; the one before @first is made up. It would cut the next one to a multiple
 * of the folio size that is a divisor of the limit, hence an odd limit; and it marks the
 * first folio, so that who comes there reads on: the mark is taken off.
 *
 * A fault maps a large folio whole, as touched. Where faults cannot be followed up, see
 * fault.c, that would stay.
 */
bool pbm_read_large_folios(struct file *file, pgoff_t first, unsigned long pages)
{
	struct address_space *mapping = file->f_mapping;
	struct file_ra_state ra = {
		.start = first - pages,
		.size = pages,
		.async_size = pages,
		.ra_pages = pages - !(pages & 1),
		/* It adds 2. */
		.order = max(ilog2(SZ_64K / PAGE_SIZE), 2) - 2,
	};
	DEFINE_READAHEAD(ractl, file, &ra, mapping, ra.start);
	struct folio *folio;

	if (!IS_ENABLED(CONFIG_X86) || pages < 4 || pages > INT_MAX ||
	    !takes_large_folios(file) ||
	    first >= DIV_ROUND_UP(i_size_read(mapping->host), PAGE_SIZE) ||
	    /* Its mark would be another's. */
	    pbm_is_cached(mapping, first, 1))
		return false;
	/* (any folio will do) */
	page_cache_async_ra(&ractl, page_folio(ZERO_PAGE(0)), 1);
	if (ra.start != first) /* (the block cgroup has too much to do) */
		return false;
	folio = filemap_get_folio(mapping, first);
	if (!IS_ERR(folio)) {
		folio_clear_readahead(folio);
		folio_put(folio);
	}
	return true;
}

unsigned long pbm_cached_pages(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	XA_STATE(xas, &mapping->i_pages, first);
	unsigned long cached = 0;
	struct folio *folio;

	rcu_read_lock();
	xas_for_each(&xas, folio, last) {
		if (xas_retry(&xas, folio) || xa_is_value(folio))
			continue;
		/* A large folio is met once; count its part of the range. */
		cached += min(folio_next_index(folio) - 1, last) -
			  max(folio->index, first) + 1;
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();
	return cached;
}

/* Whether the page is cached and up to date. */
bool pbm_is_ready(struct file *file, pgoff_t page)
{
	struct folio *folio = filemap_get_folio(file->f_mapping, page);
	bool ready;

	if (IS_ERR(folio))
		return false;
	ready = folio_test_uptodate(folio);
	folio_put(folio);
	return ready;
}

/*
 * Copy the first @len bytes of the file to @to, up to a page, if they are cached:
 * nothing is read, and nobody is asked. How many bytes there were.
 */
size_t pbm_cached_head(struct file *file, void *to, size_t len)
{
	struct folio *folio = filemap_get_folio(file->f_mapping, 0);
	size_t copied = 0;

	if (IS_ERR(folio))
		return 0;
	if (folio_test_uptodate(folio)) {
		copied = min_t(size_t, len, PAGE_SIZE);
		memcpy_from_folio(to, folio, 0, copied);
	}
	folio_put(folio);
	return copied;
}

/*
 * How many requests the device that @file is on, or is, takes at once; 0 if nobody
 * knows. And whether it rotates.
 */
unsigned int pbm_queue_depth(struct file *file, bool *rotational)
{
	struct inode *inode = pbm_mapping(&file->f_path)->host;
	struct block_device *bdev = S_ISBLK(inode->i_mode) ? file_bdev(file) : inode->i_sb->s_bdev;

	*rotational = bdev && bdev_rot(bdev);
	return bdev ? bdev_get_queue(bdev)->nr_requests : 0;
}

/* Pages that could be had without swapping. */
unsigned long pbm_available_pages(void)
{
	return max(si_mem_available(), 0L);
}
