// SPDX-License-Identifier: GPL-2.0
/* The folder for bitmaps of files that cannot be written. */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/task.h>
#include <linux/statfs.h>
#include <linux/uidgid.h>

#include "shim.h"

/* Only root may have put a file there. */
static bool pbm_is_roots(const struct inode *inode)
{
	return uid_eq(inode->i_uid, GLOBAL_ROOT_UID) && !(inode->i_mode & 0022);
}

/* What is written here counts for no user's quota; a part is left for others. */
static bool pbm_has_room(const struct path *place)
{
	struct kstatfs st;

	return !vfs_statfs(place, &st) &&
	       (!st.f_blocks || st.f_bavail > st.f_blocks / 16);
}

/* The root folder of the first process: since 7.3 kernel threads see nothing. */
static bool pbm_first_root(struct path *root)
{
	struct task_struct *first;
	bool found;

	rcu_read_lock();
	first = get_pid_task(find_pid_ns(1, &init_pid_ns), PIDTYPE_TGID);
	rcu_read_unlock();
	if (!first)
		return false;
	found = pbm_task_root(first, root);
	put_task_struct(first);
	return found;
}

/*
 * Open the file @name of @folder, as the first process sees it, with the rights of
 * current. -EPERM if somebody else than root could have written it or it is a link,
 * -EBUSY if it is to be written and its filesystem is frozen.
 */
struct file *pbm_folder_open(const char *folder, const char *name, int flags)
{
	struct path root, place;
	struct file *file;
	int error;

	if (!pbm_first_root(&root))
		return ERR_PTR(-ENOENT);
	error = vfs_path_lookup(root.dentry, root.mnt, folder,
				LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &place);
	path_put(&root);
	if (error)
		return ERR_PTR(error);
	file = ERR_PTR(-EPERM);
	if (!pbm_is_roots(d_inode(place.dentry)))
		goto put;
	if (flags & O_CREAT) {
		/* Opening it for writing would wait until it is thawed. */
		file = ERR_PTR(-EBUSY);
		if (!sb_start_write_trylock(place.dentry->d_sb))
			goto put;
		sb_end_write(place.dentry->d_sb);
		file = ERR_PTR(-ENOSPC);
		if (!pbm_has_room(&place))
			goto put;
	}
	file = file_open_root(&place, name, flags | O_NOFOLLOW | O_LARGEFILE,
			      0600);
	if (file == ERR_PTR(-ELOOP))
		file = ERR_PTR(-EPERM);
	if (!IS_ERR(file) && (!S_ISREG(file_inode(file)->i_mode) ||
			      !pbm_is_roots(file_inode(file)))) {
		fput(file);
		file = ERR_PTR(-EPERM);
	}
put:
	path_put(&place);
	return file;
}
