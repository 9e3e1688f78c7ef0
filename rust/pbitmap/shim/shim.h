/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What only C can reach: inline functions, a type that the Rust bindings do not
 * have (struct linux_binprm), and tracepoints. Policy lives in Rust; sys/ffi.rs
 * declares these functions once more and sys/ wraps them.
 */
#ifndef PBITMAP_SHIM_H
#define PBITMAP_SHIM_H

#include <linux/bits.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/mm_types.h>
#include <linux/seq_file.h>
#include <linux/spinlock_types.h>
#include <linux/types.h>

/* What the module may know of a file that a program was started from. */
struct pbm_inode {
	u64 dev;
	u64 ino;
	u32 generation;
	u32 mode;
	u64 size;
	u32 flags;
	u32 mtime_nsec;
	s64 mtime_sec;
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
struct pbm_area {
	unsigned long start;
	unsigned long end;
	unsigned long first_page;
	struct file *file;
	u32 flags;
};

/* struct pbm_area, flags */
#define PBM_AREA_MAPPABLE	BIT(0)
#define PBM_AREA_SHARED_WRITE	BIT(1)
#define PBM_AREA_PRIVATE_PAGES	BIT(2)

/* A read of a file through the page cache: pages @first to @last. */
struct pbm_read {
	u64 dev;
	u64 ino;
	u32 generation;
	unsigned long first;
	unsigned long last;
};

/* The device that a filesystem with a UUID is on. */
struct pbm_device {
	struct file *file;
	struct address_space *mapping;
	u64 size;
	u8 uuid[16];
};

struct tracepoint;

/* See shim/probe.c. */
struct pbm_probes {
	const char *names[2];
	void *calls[2];
	struct tracepoint *points[2];
};

/* Whose cgroups and I/O priority a read counts for. */
struct pbm_payer {
	struct mem_cgroup *memcg;
	struct cgroup_subsys_state *blkcg;
	int ioprio;
};

/* A file that the kernel tries to execute. */
struct pbm_exec {
	struct file *file;
	struct mm_struct *mm;
	const u8 *head;
	const char *filename;
	const char *interp;
	int argc;
	struct linux_binprm *bprm;
};

/* Rust calls these. */
void pbm_raw_lock_init(raw_spinlock_t *lock, const char *name, struct lock_class_key *key);
void pbm_raw_lock(raw_spinlock_t *lock);
bool pbm_raw_trylock(raw_spinlock_t *lock);
void pbm_raw_unlock(raw_spinlock_t *lock);
void pbm_raw_assert_held(raw_spinlock_t *lock);

void pbm_binfmt_register(void);
void pbm_binfmt_unregister(void);

size_t pbm_exec_arguments(struct linux_binprm *bprm, void *to, size_t len);

void pbm_inode_read(const struct path *path, struct pbm_inode *out);
const char *pbm_data_filesystem(const struct path *path);
struct address_space *pbm_mapping(const struct path *path);
const struct path *pbm_user_path(const struct file *file);
bool pbm_read_cached(struct file *file, void *to, size_t len, loff_t pos);
u64 pbm_last_change(struct file *file);
int pbm_may_write(const struct path *path);
int pbm_may_read(const struct path *path);
bool pbm_is_owner(const struct path *path);
bool pbm_is_users(const struct path *path);
bool pbm_is_member(u32 gid);
u32 pbm_user(const struct cred *cred);
int pbm_attribute_get(const struct path *path, const char *name, void *to, size_t len);
bool pbm_has_attribute(const struct path *path, const char *name);
int pbm_lookup(const struct path *from, const char *name, bool cached, struct path *out);
int pbm_path_name(const struct path *path, const struct path *root, char *buffer, int len,
		  bool *is_public);
struct file *pbm_open_file(u64 dev, u64 ino, u32 generation);

void pbm_payer_get(struct pbm_payer *payer);
void pbm_payer_put(struct pbm_payer *payer);
void pbm_payer_assume(const struct pbm_payer *payer, struct pbm_payer *old);
void pbm_payer_leave(const struct pbm_payer *payer, const struct pbm_payer *old);
const struct cred *pbm_override_creds(const struct cred *cred);
void pbm_revert_creds(const struct cred *old);
bool pbm_gave_up_privileges(void);
bool pbm_task_root(struct task_struct *task, struct path *root);

unsigned long pbm_readahead_limit(struct file *file);
bool pbm_is_cached(struct address_space *mapping, pgoff_t first, unsigned long pages);
unsigned long pbm_cached_pages(struct address_space *mapping, pgoff_t first, pgoff_t last);
bool pbm_read_large_folios(struct file *file, pgoff_t first, unsigned long pages);
bool pbm_is_ready(struct file *file, pgoff_t page);
size_t pbm_cached_head(struct file *file, void *to, size_t len);
unsigned int pbm_queue_depth(struct file *file, bool *rotational);
unsigned long pbm_available_pages(void);

bool pbm_device(const struct path *path, struct pbm_device *out);
bool pbm_is_used_by_filesystem(const struct pbm_device *device, pgoff_t page);

bool pbm_probes_find(struct pbm_probes *probes);
bool pbm_probes_register(struct pbm_probes *probes);
void pbm_probes_unregister(struct pbm_probes *probes);

bool pbm_fault_find(void);
bool pbm_fault_register(void);
void pbm_fault_unregister(void);

bool pbm_read_find(void);
bool pbm_read_register(void);
void pbm_read_unregister(void);

bool pbm_mm_ran(struct mm_struct *mm, const struct task_struct *task);
unsigned int pbm_areas(struct mm_struct *mm, unsigned long from,
		       struct pbm_area *out, unsigned int max);
bool pbm_area_at(struct mm_struct *mm, unsigned long addr, struct pbm_area *out);
void pbm_mark_touched(struct mm_struct *mm, unsigned long start,
		      unsigned long end, u64 *bits, unsigned long bit);
void pbm_settle(struct mm_struct *mm, unsigned long start, unsigned long end,
		unsigned long addr, u64 *known, bool forget);
bool pbm_has_table(struct mm_struct *mm, unsigned long addr);
bool pbm_fault_in(struct mm_struct *mm, unsigned long addr);
void pbm_map_cached(struct mm_struct *mm, struct file *file, unsigned long start,
		    unsigned long end);

int pbm_hold_off_writers(struct file *file);
void pbm_let_writers_in(struct file *file);
ssize_t pbm_write_in_place(struct file *file, const void *data, size_t len,
			   loff_t pos);
int pbm_attribute_set(const struct path *path, const char *name, const void *data,
		      size_t len);

struct file *pbm_folder_open(const char *folder, const char *name, int flags);

struct dentry *pbm_debugfs_folder(void);
void pbm_debugfs_file(struct dentry *folder, const char *name, const void *data);
void pbm_debugfs_remove(struct dentry *folder);

void pbm_trace_prefetch(u64 dev, u64 ino, u64 wanted, u64 cached, u64 asked,
			u64 runs);
void pbm_trace_record(u64 dev, u64 ino, u64 pages, bool changed);
void pbm_trace_write(u64 dev, u64 ino, u64 generation, u64 pages, int error);

/* C calls these: for each file that the kernel tries to execute, */
void pbm_exec(const struct pbm_exec *exec);
/* for a page fault of an address space with a notifier, before it is handled, */
void pbm_fault(struct mm_struct *mm, unsigned long addr);
/* for a read by a task of such an address space, with preemption off, */
void pbm_read(struct mm_struct *mm, const struct pbm_read *read);
/* for pages of a device that such a task brings to the page cache, likewise, */
void pbm_added(struct mm_struct *mm, const struct address_space *device, pgoff_t first,
	       unsigned long pages);
/* and to fill a file in debugfs, whose data is @m->private. */
int pbm_debugfs_show(struct seq_file *m, void *unused);

#endif
