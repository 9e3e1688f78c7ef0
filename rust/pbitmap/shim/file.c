// SPDX-License-Identifier: GPL-2.0
/* Files, and who may read and write them. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/stat.h>
#include <linux/xattr.h>

#include "shim.h"

/* Whether the filesystem was mounted by a user, in a namespace of his own. */
bool pbm_is_users(const struct path *path)
{
	return path->dentry->d_sb->s_user_ns != &init_user_ns;
}

/*
 * The inode that has the pages. An overlay whose layers a user put together may have
 * data that is not there, or is where nobody answers; looking for that warns, or waits.
 * So there it is the inode of the layer that has the name, which mostly is the same.
 */
static struct inode *pbm_inode(const struct path *path)
{
	struct dentry *dentry = path->dentry;

	return d_inode(d_real(dentry, pbm_is_users(path) ? D_REAL_METADATA : D_REAL_DATA));
}

void pbm_inode_read(const struct path *path, struct pbm_inode *out)
{
	const struct inode *inode = pbm_inode(path);

	out->dev = inode->i_sb->s_dev;
	out->ino = inode->i_ino;
	out->generation = inode->i_generation;
	out->mode = inode->i_mode;
	out->size = i_size_read(inode);
	out->mtime_sec = inode_get_mtime_sec(inode);
	out->mtime_nsec = inode_get_mtime_nsec(inode);
	out->flags = (IS_IMMUTABLE(inode) ? PBM_INODE_IMMUTABLE : 0) |
		     (IS_APPEND(inode) ? PBM_INODE_APPEND : 0) |
		     (IS_VERITY(inode) ? PBM_INODE_VERITY : 0) |
		     (IS_SWAPFILE(inode) ? PBM_INODE_SWAPFILE : 0) |
		     (IS_IMA(inode) ? PBM_INODE_IMA : 0) |
		     (IS_DAX(inode) ? PBM_INODE_DAX : 0) |
		     (IS_ENCRYPTED(inode) ? PBM_INODE_ENCRYPTED : 0) |
		     (inode->i_nlink == 0 ? PBM_INODE_UNLINKED : 0);
}

/* The name of the filesystem that has the pages. */
const char *pbm_data_filesystem(const struct path *path)
{
	return pbm_inode(path)->i_sb->s_type->name;
}

struct address_space *pbm_mapping(const struct path *path)
{
	return pbm_inode(path)->i_mapping;
}

/* Where the user opened the file, or the one that it backs. */
const struct path *pbm_user_path(const struct file *file)
{
	return file_user_path(file);
}

/*
 * When content or attributes of @file last changed, in ns: the inode's ctime.
 * Having been asked for, it differs after the next change even within a tick.
 */
u64 pbm_last_change(struct file *file)
{
	struct kstat stat;

	fill_mg_cmtime(&stat, STATX_CTIME, file_inode(file));
	return timespec64_to_ns(&stat.ctime);
}

/*
 * Copy @len bytes at @pos, if all of them are cached. A tenth of the price of
 * kernel_read(), for what every exec pays.
 */
bool pbm_read_cached(struct file *file, void *to, size_t len, loff_t pos)
{
	if (pos < 0 || pos > i_size_read(file_inode(file)) ||
	    len > i_size_read(file_inode(file)) - pos)
		return false;
	while (len) {
		struct folio *folio = filemap_get_folio(pbm_mapping(&file->f_path),
							pos >> PAGE_SHIFT);
		size_t offset, part;

		if (IS_ERR(folio))
			return false;
		if (!folio_test_uptodate(folio)) {
			folio_put(folio);
			return false;
		}
		offset = offset_in_folio(folio, pos);
		part = min(len, folio_size(folio) - offset);
		memcpy_from_folio(to, folio, offset, part);
		folio_put(folio);
		to += part;
		pos += part;
		len -= part;
	}
	return true;
}

/*
 * With the credentials of current: 0, or why it could not write the file. As for
 * access(): that it was asked is not for SELinux to log as an attempt.
 */
int pbm_may_write(const struct path *path)
{
	if (__mnt_is_readonly(path->mnt))
		return -EROFS;
	return inode_permission(mnt_idmap(path->mnt), d_inode(path->dentry),
				MAY_WRITE | MAY_ACCESS);
}

/* Whether current owns the file, or may do what an owner may. */
bool pbm_is_owner(const struct path *path)
{
	return inode_owner_or_capable(mnt_idmap(path->mnt), d_inode(path->dentry));
}

/* Whether current is a member of this group of the first user namespace. */
bool pbm_is_member(u32 gid)
{
	const kgid_t group = make_kgid(&init_user_ns, gid);

	return gid_valid(group) && in_egroup_p(group);
}

/* The user, as the first user namespace knows it. */
u32 pbm_user(const struct cred *cred)
{
	return from_kuid(&init_user_ns, cred->uid);
}

/*
 * The value of an extended attribute, or its length if @len is 0. Nobody is asked
 * whether current may read it.
 */
int pbm_attribute_get(const struct path *path, const char *name, void *to, size_t len)
{
	/* A buffer of no bytes would be one that is too short. */
	return __vfs_getxattr(path->dentry, d_inode(path->dentry), name, len ? to : NULL, len);
}

/* Whether the file has the attribute @name, or may have. */
bool pbm_has_attribute(const struct path *path, const char *name)
{
	/* Anything but a plain "there is none" counts as a yes. */
	int len = vfs_getxattr(mnt_idmap(path->mnt), path->dentry, name, NULL, 0);

	return len != -ENODATA && len != -EOPNOTSUPP;
}

/* As above, for reading. */
int pbm_may_read(const struct path *path)
{
	return inode_permission(mnt_idmap(path->mnt), d_inode(path->dentry),
				MAY_READ | MAY_ACCESS);
}

/*
 * Look @name up, one or more components, from @from on; symbolic links and
 * automounts are not followed. With @cached only what needs no filesystem, else
 * -EAGAIN.
 */
int pbm_lookup(const struct path *from, const char *name, bool cached, struct path *out)
{
	return vfs_path_lookup(from->dentry, from->mnt, name,
			       LOOKUP_NO_SYMLINKS | (cached ? LOOKUP_CACHED : 0), out);
}

/* Whether everybody may go through the folders above @dentry in its filesystem. */
static bool pbm_is_open_above(struct dentry *dentry)
{
	struct dentry *at = dget(dentry);
	bool is_open = true;

	while (is_open && !IS_ROOT(at)) {
		struct dentry *parent = dget_parent(at);

		dput(at);
		at = parent;
		is_open = d_inode(at)->i_mode & 0001;
	}
	dput(at);
	return is_open;
}

/*
 * Write the path of @path from @root, or from the topmost mount, to the end of
 * @buffer. Returns where it starts; a negative error if it does not fit. And
 * whether its mode, and that of each folder, lets everybody read the file.
 */
int pbm_path_name(const struct path *path, const struct path *root, char *buffer, int len,
		  bool *is_public)
{
	struct path at = *path;
	int start = len;

	*is_public = d_inode(at.dentry)->i_mode & 0004;
	path_get(&at);
	while (!root || !path_equal(&at, root)) {
		struct name_snapshot name;
		struct dentry *parent;

		if (at.dentry == at.mnt->mnt_root) {
			/* Of a part of a filesystem, also what is above it there. */
			*is_public = *is_public && pbm_is_open_above(at.dentry);
			if (follow_up(&at))
				continue;
			break;
		}
		take_dentry_name_snapshot(&name, at.dentry);
		start -= name.name.len + 1;
		if (start < 0) {
			release_dentry_name_snapshot(&name);
			path_put(&at);
			return -ENAMETOOLONG;
		}
		buffer[start] = '/';
		memcpy(buffer + start + 1, name.name.name, name.name.len);
		release_dentry_name_snapshot(&name);
		parent = dget_parent(at.dentry);
		dput(at.dentry);
		at.dentry = parent;
		if (!(d_inode(parent)->i_mode & 0001))
			*is_public = false;
	}
	path_put(&at);
	return start;
}

/*
 * Among the files that current has open, the one with this inode, with a reference
 * on it; NULL if it is not there, or has a high number.
 */
struct file *pbm_open_file(u64 dev, u64 ino, u32 generation)
{
	unsigned int fd, end = 0;

	if (current->files) {
		rcu_read_lock();
		end = min(files_fdtable(current->files)->max_fds, 1024U);
		rcu_read_unlock();
	}
	for (fd = 0; fd < end; fd++) {
		struct file *file = fget(fd);
		const struct inode *inode;

		if (!file)
			continue;
		inode = pbm_inode(&file->f_path);
		if (S_ISREG(inode->i_mode) && inode->i_ino == ino &&
		    inode->i_sb->s_dev == dev && inode->i_generation == generation)
			return file;
		fput(file);
	}
	return NULL;
}
