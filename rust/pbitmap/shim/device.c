// SPDX-License-Identifier: GPL-2.0
/* The device under a filesystem, in whose page cache metadata is. */
#include <linux/blkdev.h>
#include <linux/buffer_head.h>
#include <linux/fs.h>
#include <linux/pagemap.h>

#include "shim.h"

/*
 * The device that has the file at @path; false if the filesystem has none, or no
 * UUID to know it by. It is there for as long as the filesystem is.
 */
bool pbm_device(const struct path *path, struct pbm_device *out)
{
	const struct super_block *sb = d_real_inode(path->dentry)->i_sb;

	if (!sb->s_bdev || !sb->s_bdev_file || sb->s_uuid_len != sizeof(out->uuid))
		return false;
	out->file = sb->s_bdev_file;
	out->mapping = sb->s_bdev_file->f_mapping;
	out->size = bdev_nr_bytes(sb->s_bdev);
	memcpy(out->uuid, &sb->s_uuid, sizeof(out->uuid));
	return true;
}

/*
 * Whether the filesystem has had to do with the page since it came to the page
 * cache: then it has buffers, which reading ahead does not give it.
 */
bool pbm_is_used_by_filesystem(const struct pbm_device *device, pgoff_t page)
{
	struct folio *folio = filemap_get_folio(device->mapping, page);
	bool used;

	if (IS_ERR(folio))
		return false;
	used = folio_buffers(folio);
	folio_put(folio);
	return used;
}
