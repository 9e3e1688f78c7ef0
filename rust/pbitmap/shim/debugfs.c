// SPDX-License-Identifier: GPL-2.0
/* The files in debugfs. */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "shim.h"

/* Opening one holds a reference on the module, which kernel::debugfs does not. */
DEFINE_SHOW_ATTRIBUTE(pbm_debugfs);

struct dentry *pbm_debugfs_folder(void)
{
	return debugfs_create_dir("pbitmap", NULL);
}

void pbm_debugfs_file(struct dentry *folder, const char *name, const void *data)
{
	debugfs_create_file(name, 0444, folder, (void *)data, &pbm_debugfs_fops);
}

void pbm_debugfs_remove(struct dentry *folder)
{
	debugfs_remove(folder);
}
