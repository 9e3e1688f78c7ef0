/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What only C can reach: inline functions, a type that the Rust bindings do not
 * have (struct linux_binprm), and tracepoints. Policy lives in Rust; sys/ffi.rs
 * declares these functions once more and sys/ wraps them.
 */
#ifndef PBITMAP_SHIM_H
#define PBITMAP_SHIM_H

#include <linux/bits.h>
#include <linux/fs.h>
#include <linux/mm_types.h>
#include <linux/seq_file.h>
#include <linux/types.h>

/* What the module may know of a file that a program was started from. */
struct pbm_inode {
	u64 dev;
	u64 ino;
	u32 generation;
	u32 mode;
	u64 size;
	u32 flags;
};

/* struct pbm_inode, flags */
#define PBM_INODE_IMMUTABLE	BIT(0)
#define PBM_INODE_APPEND	BIT(1)
#define PBM_INODE_VERITY	BIT(2)
#define PBM_INODE_SWAPFILE	BIT(3)
#define PBM_INODE_IMA		BIT(4)
#define PBM_INODE_DAX		BIT(5)
#define PBM_INODE_ENCRYPTED	BIT(6)
#define PBM_INODE_UNLINKED	BIT(7)

/* A mapping of a file: from @start to @end, @first_page of the file on. */
struct pbm_mapping {
	unsigned long start;
	unsigned long end;
	unsigned long first_page;
};

/* Rust calls these. */
void pbm_binfmt_register(void);
void pbm_binfmt_unregister(void);

void pbm_inode_read(struct file *file, struct pbm_inode *out);
bool pbm_read_cached(struct file *file, void *to, size_t len, loff_t pos);
u64 pbm_last_change(struct file *file);
int pbm_may_write(const struct path *path);
bool pbm_has_capabilities(const struct path *path);
const struct cred *pbm_override_creds(const struct cred *cred);
void pbm_revert_creds(const struct cred *old);

unsigned long pbm_readahead_limit(struct file *file);
bool pbm_is_cached(struct file *file, pgoff_t first, unsigned long pages);
unsigned long pbm_cached_pages(struct file *file, pgoff_t first, pgoff_t last);
int pbm_wait_for_pages(struct file *file, pgoff_t first, pgoff_t last);

bool pbm_mm_ran(struct mm_struct *mm);
unsigned int pbm_mappings(struct mm_struct *mm, const struct inode *inode,
			  struct pbm_mapping *out, unsigned int max);
void pbm_mark_mapped(struct mm_struct *mm, unsigned long start,
		     unsigned long end, u64 *bits, unsigned long bit);
unsigned long pbm_map_cached(struct mm_struct *mm, struct file *file,
			     unsigned long start, unsigned long end);

int pbm_hold_off_writers(struct file *file);
void pbm_let_writers_in(struct file *file);
ssize_t pbm_write_in_place(struct file *file, const void *data, size_t len,
			   loff_t pos);

struct dentry *pbm_debugfs_create(const void *data);
void pbm_debugfs_remove(struct dentry *folder);

void pbm_trace_prefetch(u64 dev, u64 ino, u64 wanted, u64 cached, u64 asked,
			u64 runs);
void pbm_trace_record(u64 dev, u64 ino, u64 pages, bool changed);
void pbm_trace_write(u64 dev, u64 ino, u64 generation, u64 pages, int error);

/* C calls these: for each file that the kernel tries to execute, */
void pbm_exec(struct file *file, struct mm_struct *mm, const u8 *head);
/* and to fill debugfs/pbitmap/stats, whose data is @m->private. */
int pbm_stats_show(struct seq_file *m, void *unused);

#endif
