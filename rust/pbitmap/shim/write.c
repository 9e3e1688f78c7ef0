// SPDX-License-Identifier: GPL-2.0
/* Writing a file that programs run from. */
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/uio.h>
#include <linux/xattr.h>

#include "shim.h"

static bool pbm_lease_break(struct file_lease *lease)
{
	/* Who breaks it waits until pbm_let_writers_in(). */
	return false;
}

/* Under the lock of the file's leases, before ours is among them and again after. */
static int pbm_lease_conflict(struct file *file, int type)
{
	struct inode *inode = file_inode(file);
	struct file_lease *lease;

	/* Who wants to be told of writers (Samba, an NFS client) is not told of us. */
	list_for_each_entry(lease, &locks_inode_context(inode)->flc_lease, c.flc_list)
		if (lease->c.flc_file != file)
			return -EAGAIN;
	return inode_is_open_for_write(inode) ? -EAGAIN : 0;
}

static const struct lease_manager_operations pbm_lease_ops = {
	.lm_break = pbm_lease_break,
	.lm_change = lease_modify,
	.lm_open_conflict = pbm_lease_conflict,
};

/*
 * Take a read lease on @file: whoever opens it for writing or truncates it waits
 * until it is given back, which takes no longer than one write. -EAGAIN if
 * somebody has it open for writing, or has a lease on it.
 */
int pbm_hold_off_writers(struct file *file)
{
	struct file_lease *lease = locks_alloc_lease();
	int error;

	if (!lease)
		return -ENOMEM;
	lease->fl_lmops = &pbm_lease_ops;
	lease->c.flc_flags = FL_LEASE;
	lease->c.flc_type = F_RDLCK;
	lease->c.flc_owner = file;
	lease->c.flc_pid = current->tgid;
	lease->c.flc_file = file;
	error = kernel_setlease(file, F_RDLCK, &lease, NULL);
	if (lease)
		locks_free_lease(lease);
	return error;
}

void pbm_let_writers_in(struct file *file)
{
	void *owner = file;

	kernel_setlease(file, F_UNLCK, NULL, &owner);
}

static void pbm_keep_times(struct inode *inode, unsigned int flag)
{
	inode_lock(inode);
	inode_set_flags(inode, flag, S_NOCMTIME);
	inode_unlock(inode);
}

/*
 * Write into allocated blocks of @file, which was opened read-only for this and
 * belongs to the caller. i_writecount is never raised, so that no exec of the
 * file meets ETXTBSY. Never waits for a frozen filesystem: -EBUSY.
 */
ssize_t pbm_write_in_place(struct file *file, const void *data, size_t len,
			   loff_t pos)
{
	const fmode_t mode = file->f_mode;
	struct inode *inode = file_inode(file);
	struct kvec vec = { .iov_base = (void *)data, .iov_len = len };
	struct iov_iter iter;
	struct kiocb kiocb;
	ssize_t ret;

	if (!file->f_op->write_iter || !file->f_op->open)
		return -EINVAL;
	ret = mnt_get_write_access(file->f_path.mnt);
	if (ret)
		return ret;
	file->f_mode |= FMODE_WRITE | FMODE_CAN_WRITE;
	/* Who is asked here may write to the same filesystem. */
	ret = rw_verify_area(WRITE, file, &pos, len);
	if (ret)
		goto restore_mode;
	ret = -EBUSY;
	if (!file_start_write_trylock(file))
		goto restore_mode;
	/* Once more, as a writer: ext4 attaches its journal inode only then. */
	ret = file->f_op->open(inode, file);
	if (!ret) {
		init_sync_kiocb(&kiocb, file);
		kiocb.ki_pos = pos;
		iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, len);
		/*
		 * A recording is not an edit; package checks stay quiet. Not by
		 * FMODE_NOCMTIME, which btrfs does not look at. There is no other writer.
		 */
		pbm_keep_times(inode, S_NOCMTIME);
		ret = file->f_op->write_iter(&kiocb, &iter);
		pbm_keep_times(inode, 0);
	}
	file_end_write(file);
restore_mode:
	file->f_mode = mode;
	mnt_put_write_access(file->f_path.mnt);
	return ret;
}

/*
 * Set an extended attribute with the rights of current. Never waits for a frozen
 * filesystem: -EBUSY.
 */
int pbm_attribute_set(const struct path *path, const char *name, const void *data,
		      size_t len)
{
	struct super_block *sb = path->dentry->d_sb;
	struct inode *inode = d_inode(path->dentry);
	struct delegated_inode delegated = {};
	int error;

	error = mnt_get_write_access(path->mnt);
	if (error)
		return error;
	error = -EBUSY;
	if (!sb_start_write_trylock(sb))
		goto put_mount;
	error = -EAGAIN;
	if (inode_trylock(inode)) {
		error = __vfs_setxattr_locked(mnt_idmap(path->mnt), path->dentry, name,
					      data, len, 0, &delegated);
		inode_unlock(inode);
	}
	/* Who holds a delegation is asked to give it up, and may take its time. */
	if (is_delegated(&delegated)) {
		iput(delegated.di_inode);
		error = -EAGAIN;
	}
	sb_end_write(sb);
put_mount:
	mnt_put_write_access(path->mnt);
	return error;
}
