// SPDX-License-Identifier: GPL-2.0
/*
 * What only C can reach; see shim.h. No function here keeps state or decides
 * anything: each does one thing that sys/ wraps and documents.
 */
#include <linux/backing-dev.h>
#include <linux/binfmts.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/rcupdate_wait.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/stat.h>
#include <linux/uio.h>
#include <linux/userfaultfd_k.h>
#include <linux/xarray.h>
#include <linux/xattr.h>

#include "shim.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* exec */

static int pbm_load_binary(struct linux_binprm *bprm)
{
	pbm_exec(bprm->file, bprm->mm, bprm->buf);
	/* The only answer that lets the next format try, with bprm untouched. */
	return -ENOEXEC;
}

static struct linux_binfmt pbm_format = {
	.module = THIS_MODULE,
	.load_binary = pbm_load_binary,
};

void pbm_binfmt_register(void)
{
	/* At the head: the formats behind us stop the search when they accept. */
	insert_binfmt(&pbm_format);
}

void pbm_binfmt_unregister(void)
{
	unregister_binfmt(&pbm_format);
}

/* files and who may write them */

void pbm_inode_read(struct file *file, struct pbm_inode *out)
{
	struct inode *inode = file_inode(file);

	out->dev = inode->i_sb->s_dev;
	out->ino = inode->i_ino;
	out->generation = inode->i_generation;
	out->mode = inode->i_mode;
	out->size = i_size_read(inode);
	out->flags = (IS_IMMUTABLE(inode) ? PBM_INODE_IMMUTABLE : 0) |
		     (IS_APPEND(inode) ? PBM_INODE_APPEND : 0) |
		     (IS_VERITY(inode) ? PBM_INODE_VERITY : 0) |
		     (IS_SWAPFILE(inode) ? PBM_INODE_SWAPFILE : 0) |
		     (IS_IMA(inode) ? PBM_INODE_IMA : 0) |
		     (IS_DAX(inode) ? PBM_INODE_DAX : 0) |
		     (IS_ENCRYPTED(inode) ? PBM_INODE_ENCRYPTED : 0) |
		     (inode->i_nlink == 0 ? PBM_INODE_UNLINKED : 0);
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
		struct folio *folio = filemap_get_folio(file->f_mapping, pos >> PAGE_SHIFT);
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

/* With the credentials of current: 0, or why it could not write the file. */
int pbm_may_write(const struct path *path)
{
	if (__mnt_is_readonly(path->mnt))
		return -EROFS;
	return inode_permission(mnt_idmap(path->mnt), d_inode(path->dentry),
				MAY_WRITE);
}

bool pbm_has_capabilities(const struct path *path)
{
	/* Anything but a plain "there is none" counts as a yes. */
	int len = vfs_getxattr(mnt_idmap(path->mnt), path->dentry,
			       XATTR_NAME_CAPS, NULL, 0);

	return len != -ENODATA && len != -EOPNOTSUPP;
}

const struct cred *pbm_override_creds(const struct cred *cred)
{
	return override_creds(cred);
}

void pbm_revert_creds(const struct cred *old)
{
	revert_creds(old);
}

/* the page cache */

/* The most pages that one POSIX_FADV_WILLNEED reads; longer ones are cut. */
unsigned long pbm_readahead_limit(struct file *file)
{
	struct backing_dev_info *bdi = inode_to_bdi(file->f_mapping->host);

	return max_t(unsigned long, bdi->io_pages, file->f_ra.ra_pages);
}

bool pbm_is_cached(struct file *file, pgoff_t first, unsigned long pages)
{
	while (pages) {
		XA_STATE(xas, &file->f_mapping->i_pages, first);
		unsigned long part = min(pages, 4096UL), left = part;
		void *entry;

		rcu_read_lock();
		entry = xas_load(&xas);
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

unsigned long pbm_cached_pages(struct file *file, pgoff_t first, pgoff_t last)
{
	XA_STATE(xas, &file->f_mapping->i_pages, first);
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

int pbm_wait_for_pages(struct file *file, pgoff_t first, pgoff_t last)
{
	struct folio_batch batch;
	int error = 0;

	folio_batch_init(&batch);
	while (!error && filemap_get_folios(file->f_mapping, &first, last, &batch)) {
		unsigned int i;

		for (i = 0; i < folio_batch_count(&batch) && !error; i++)
			error = folio_wait_locked_killable(batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
	return error;
}

/* mappings */

/*
 * The first @max mappings of @inode, in ascending order; the mmap lock is held.
 * Returns how many they are.
 */
unsigned int pbm_mappings(struct mm_struct *mm, const struct inode *inode,
			  struct pbm_mapping *out, unsigned int max)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;
	unsigned int found = 0;

	for_each_vma(vmi, vma) {
		if (!vma->vm_file || file_inode(vma->vm_file) != inode)
			continue;
		if (found == max)
			break;
		out[found].start = vma->vm_start;
		out[found].end = vma->vm_end;
		out[found].first_page = vma->vm_pgoff;
		found++;
	}
	return found;
}

/* page tables */

/*
 * False for an mm whose exec failed on the way, which the OOM reaper touched or
 * which was dumped: its page tables do not tell what a start needs.
 */
bool pbm_mm_ran(struct mm_struct *mm)
{
	/*
	 * current is only the task that dropped the last reference; that a
	 * dumping task frees another program's mm is rare, and costs one
	 * recording.
	 */
	return mm->start_code && !mm_flags_test(MMF_UNSTABLE, mm) &&
	       !(current->flags & PF_DUMPCORE);
}

static void pbm_set_bits(u64 *bits, unsigned long bit, unsigned long count)
{
	while (count) {
		unsigned long part = min(count, 64 - bit % 64);

		bits[bit / 64] |= GENMASK_U64(bit % 64 + part - 1, bit % 64);
		bit += part;
		count -= part;
	}
}

/*
 * The PMD entry that covers @addr, read without locks: irqs are off, as in
 * gup_fast(), so that no page table is freed meanwhile.
 */
static pmd_t pbm_read_pmd(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgdp = pgd_offset(mm, addr);
	pgd_t pgd = READ_ONCE(*pgdp);
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;

	if (pgd_none(pgd) || pgd_leaf(pgd))
		return __pmd(0);
	p4dp = p4d_offset_lockless(pgdp, pgd, addr);
	p4d = READ_ONCE(*p4dp);
	if (p4d_none(p4d) || !p4d_present(p4d) || p4d_leaf(p4d))
		return __pmd(0);
	pudp = pud_offset_lockless(p4dp, p4d, addr);
	pud = READ_ONCE(*pudp);
	if (pud_none(pud) || !pud_present(pud) || pud_leaf(pud))
		return __pmd(0);
	return pmdp_get_lockless(pmd_offset_lockless(pudp, pud, addr));
}

/*
 * Set bit @bit + i of @bits for each page i of [@start, @end) that has an entry:
 * present, or swapped out after it was written. The mmap lock is held for
 * reading.
 */
void pbm_mark_mapped(struct mm_struct *mm, unsigned long start,
		     unsigned long end, u64 *bits, unsigned long bit)
{
	unsigned long addr, next;

	for (addr = start; addr < end; addr = next) {
		unsigned long flags;
		pmd_t pmd;

		next = pmd_addr_end(addr, end);
		local_irq_save(flags);
		pmd = pbm_read_pmd(mm, addr);
		if (pmd_leaf(pmd)) {
			pbm_set_bits(bits, bit, (next - addr) >> PAGE_SHIFT);
		} else if (pmd_present(pmd) && !pmd_bad(pmd)) {
			pte_t *ptep = pte_offset_kernel(&pmd, addr);
			pte_t *end_ptep = ptep + ((next - addr) >> PAGE_SHIFT);
			unsigned long at = bit;

			while (ptep < end_ptep) {
				pte_t *first = ptep;

				/* Neighbours tend to be alike. */
				while (ptep < end_ptep && !pte_none(ptep_get_lockless(ptep)))
					ptep++;
				pbm_set_bits(bits, at, ptep - first);
				at += ptep - first;
				for (; ptep < end_ptep && pte_none(ptep_get_lockless(ptep)); ptep++)
					at++;
			}
		}
		bit += (next - addr) >> PAGE_SHIFT;
		local_irq_restore(flags);
		cond_resched();
	}
}

/* The PMD slot of @addr when it holds a page table; the mmap lock is held. */
static pmd_t *pbm_table(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud) || pud_leaf(*pud))
		return NULL;
	pmd = pmd_offset(pud, addr);
	if (pmd_none(pmdp_get_lockless(pmd)) || pmd_leaf(pmdp_get_lockless(pmd)))
		return NULL;
	return pmd;
}

/* Only mappings of @file that fault-around itself would fill. */
static struct vm_area_struct *pbm_mappable(struct mm_struct *mm, struct file *file,
					   unsigned long addr)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	if (!vma || !vma->vm_file || file_inode(vma->vm_file) != file_inode(file))
		return NULL;
	if (!vma->vm_ops || vma->vm_ops->map_pages != filemap_map_pages)
		return NULL;
	if (!(vma->vm_flags & VM_READ) || is_vm_hugetlb_page(vma) ||
	    uffd_disable_fault_around(vma))
		return NULL;
	return vma;
}

/*
 * Map those pages of [@start, @end), one mapping of @file in current's mm, that
 * are cached and up to date. Returns how many it offered to the mapping.
 */
unsigned long pbm_map_cached(struct mm_struct *mm, struct file *file,
			     unsigned long start, unsigned long end)
{
	unsigned long addr, next, offered = 0;

	for (addr = start; addr < end; addr = next) {
		struct vm_area_struct *vma;
		pmd_t *pmd;

		next = pmd_addr_end(addr, end);
		if (mmap_read_lock_killable(mm))
			break;
		vma = pbm_mappable(mm, file, addr);
		if (vma && !pbm_table(mm, addr)) {
			bool unlocked = false;

			/* One ordinary fault makes the page table. */
			if (fixup_user_fault(mm, addr, 0, &unlocked))
				vma = NULL;
			else if (unlocked)
				vma = pbm_mappable(mm, file, addr);
		}
		pmd = vma ? pbm_table(mm, addr) : NULL;
		if (pmd && next <= vma->vm_end) {
			pgoff_t pgoff = linear_page_index(vma, addr);
			struct vm_fault vmf = {
				.vma = vma,
				.address = addr,
				.real_address = addr,
				.pgoff = pgoff,
				.gfp_mask = mapping_gfp_mask(file->f_mapping),
				.pmd = pmd,
			};

			rcu_read_lock();
			vma->vm_ops->map_pages(&vmf, pgoff,
					       pgoff + ((next - addr) >> PAGE_SHIFT) - 1);
			rcu_read_unlock();
			offered += (next - addr) >> PAGE_SHIFT;
		}
		mmap_read_unlock(mm);
		cond_resched();
	}
	return offered;
}

/* writing an executing file */

static bool pbm_lease_break(struct file_lease *lease)
{
	/* Who breaks it waits until pbm_let_writers_in(). */
	return false;
}

static int pbm_lease_conflict(struct file *file, int type)
{
	return inode_is_open_for_write(file_inode(file)) ? -EAGAIN : 0;
}

static const struct lease_manager_operations pbm_lease_ops = {
	.lm_break = pbm_lease_break,
	.lm_change = lease_modify,
	.lm_open_conflict = pbm_lease_conflict,
};

/*
 * Take a read lease on @file: whoever opens it for writing or truncates it waits
 * until it is given back, which takes no longer than one write. -EAGAIN if
 * somebody has it open for writing.
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

/*
 * Write into allocated blocks of @file, which was opened read-only for this and
 * belongs to the caller. i_writecount is never raised, so that no exec of the
 * file meets ETXTBSY. Never waits for a frozen filesystem: -EBUSY.
 */
ssize_t pbm_write_in_place(struct file *file, const void *data, size_t len,
			   loff_t pos)
{
	const fmode_t mode = file->f_mode;
	struct kvec vec = { .iov_base = (void *)data, .iov_len = len };
	struct iov_iter iter;
	struct kiocb kiocb;
	ssize_t ret;

	if (!file->f_op->write_iter || !file->f_op->open)
		return -EINVAL;
	ret = mnt_get_write_access(file->f_path.mnt);
	if (ret)
		return ret;
	ret = -EBUSY;
	if (!file_start_write_trylock(file))
		goto put_mount;

	/* NOCMTIME: a recording is not an edit; package checks stay quiet. */
	file->f_mode |= FMODE_WRITE | FMODE_CAN_WRITE | FMODE_NOCMTIME;
	/* Once more, as a writer: ext4 attaches its journal inode only then. */
	ret = file->f_op->open(file_inode(file), file);
	if (!ret)
		ret = rw_verify_area(WRITE, file, &pos, len);
	if (!ret) {
		init_sync_kiocb(&kiocb, file);
		kiocb.ki_pos = pos;
		iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, len);
		ret = file->f_op->write_iter(&kiocb, &iter);
	}
	file->f_mode = mode;
	file_end_write(file);
put_mount:
	mnt_put_write_access(file->f_path.mnt);
	return ret;
}

/* debugfs */

/* Opening it holds a reference on the module, which kernel::debugfs does not. */
DEFINE_SHOW_ATTRIBUTE(pbm_stats);

struct dentry *pbm_debugfs_create(const void *data)
{
	struct dentry *folder = debugfs_create_dir("pbitmap", NULL);

	debugfs_create_file("stats", 0444, folder, (void *)data, &pbm_stats_fops);
	return folder;
}

void pbm_debugfs_remove(struct dentry *folder)
{
	debugfs_remove(folder);
}

/* tracepoints */

void pbm_trace_prefetch(u64 dev, u64 ino, u64 wanted, u64 cached, u64 asked,
			u64 runs)
{
	trace_pbitmap_prefetch(dev, ino, wanted, cached, asked, runs);
}

void pbm_trace_record(u64 dev, u64 ino, u64 pages, bool changed)
{
	trace_pbitmap_record(dev, ino, pages, changed);
}

void pbm_trace_write(u64 dev, u64 ino, u64 generation, u64 pages, int error)
{
	trace_pbitmap_write(dev, ino, generation, pages, error);
}
