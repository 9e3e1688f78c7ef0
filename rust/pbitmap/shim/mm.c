// SPDX-License-Identifier: GPL-2.0
/* Address spaces: mappings of files, and their page tables. */
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/userfaultfd_k.h>

#include "shim.h"

/* Whether fault-around itself would fill it. */
static bool pbm_mappable(const struct vm_area_struct *vma)
{
	return vma->vm_ops && vma->vm_ops->map_pages == filemap_map_pages &&
	       (vma->vm_flags & VM_READ) && !is_vm_hugetlb_page(vma) &&
	       !uffd_disable_fault_around((struct vm_area_struct *)vma);
}

static void pbm_area_read(const struct vm_area_struct *vma, struct pbm_area *out)
{
	bool shared = (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == (VM_SHARED | VM_MAYWRITE);

	out->start = vma->vm_start;
	out->end = vma->vm_end;
	out->first_page = vma->vm_pgoff;
	out->file = get_file(vma->vm_file);
	out->flags = (pbm_mappable(vma) ? PBM_AREA_MAPPABLE : 0) |
		     (shared ? PBM_AREA_SHARED_WRITE : 0) |
		     (READ_ONCE(vma->anon_vma) ? PBM_AREA_PRIVATE_PAGES : 0);
}

/*
 * The first @max mappings of regular files from address @from on; the mmap lock
 * is held. Returns how many they are. Each holds a reference on its file.
 */
unsigned int pbm_areas(struct mm_struct *mm, unsigned long from,
		       struct pbm_area *out, unsigned int max)
{
	VMA_ITERATOR(vmi, mm, from);
	struct vm_area_struct *vma;
	unsigned int found = 0;

	for_each_vma(vmi, vma) {
		if (!vma->vm_file || !S_ISREG(file_inode(vma->vm_file)->i_mode))
			continue;
		if (found == max)
			break;
		pbm_area_read(vma, &out[found++]);
	}
	return found;
}

/* The mapping of a regular file at @addr, as above; false if there is none. */
bool pbm_area_at(struct mm_struct *mm, unsigned long addr, struct pbm_area *out)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	if (!vma || !vma->vm_file || !S_ISREG(file_inode(vma->vm_file)->i_mode))
		return false;
	pbm_area_read(vma, out);
	return true;
}

/* Of an exit code, as wait(2) has it. */
#define PBM_DUMPED 0x80

/*
 * False for an mm, that of @task, whose exec failed on the way, which the OOM reaper
 * touched or which was dumped: its page tables do not tell what a start needs.
 */
bool pbm_mm_ran(struct mm_struct *mm, const struct task_struct *task)
{
	const struct signal_struct *signal = task->signal;

	/*
	 * A dump that is being written, and one that was. current is only the
	 * task that dropped the last reference; that a dumping task frees
	 * another program's mm is rare, and costs one recording.
	 */
	return mm->start_code && !mm_flags_test(MMF_UNSTABLE, mm) &&
	       !READ_ONCE(signal->core_state) &&
	       !(READ_ONCE(signal->group_exit_code) & PBM_DUMPED) &&
	       !(current->flags & PF_DUMPCORE);
}

/* Of the pages from @bit on; there is a bit for each 4 KiB. */
static void pbm_set_bits(u64 *bits, unsigned long bit, unsigned long count)
{
	bit *= PAGE_SIZE / SZ_4K;
	count *= PAGE_SIZE / SZ_4K;
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
 * Touched: accessed or written, or swapped out after it was written. What is
 * present alone may have been mapped beside another page.
 */
static bool pbm_pte_touched(pte_t pte)
{
	if (!pte_present(pte))
		return !pte_none(pte);
	return pte_young(pte) || pte_dirty(pte);
}

/*
 * Set the bits of page @bit + i for each page i of [@start, @end) that was touched.
 * The mmap lock is held for reading.
 */
void pbm_mark_touched(struct mm_struct *mm, unsigned long start,
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
			if (pmd_young(pmd))
				pbm_set_bits(bits, bit, (next - addr) >> PAGE_SHIFT);
		} else if (pmd_present(pmd) && !pmd_bad(pmd)) {
			pte_t *ptep = pte_offset_kernel(&pmd, addr);
			pte_t *end_ptep = ptep + ((next - addr) >> PAGE_SHIFT);
			unsigned long at = bit;

			while (ptep < end_ptep) {
				pte_t *first = ptep;

				/* Neighbours tend to be alike. */
				while (ptep < end_ptep && pbm_pte_touched(ptep_get_lockless(ptep)))
					ptep++;
				pbm_set_bits(bits, at, ptep - first);
				at += ptep - first;
				for (; ptep < end_ptep; ptep++, at++) {
					if (pbm_pte_touched(ptep_get_lockless(ptep)))
						break;
				}
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

/*
 * The locked page table that covers @addr; NULL if there is none. As
 * pte_offset_map_lock(), which modules cannot call: RCU keeps a table that is
 * taken away from being freed, and the second look finds that it was.
 */
static pte_t *pbm_lock_table(struct mm_struct *mm, unsigned long addr,
			     spinlock_t **lock)
{
	pmd_t *pmdp = pbm_table(mm, addr);
	pmd_t pmd;

	if (!pmdp)
		return NULL;
	rcu_read_lock();
	pmd = pmdp_get_lockless(pmdp);
	if (pmd_present(pmd) && !pmd_leaf(pmd) && !pmd_bad(pmd)) {
		*lock = pte_lockptr(mm, &pmd);
		spin_lock(*lock);
		if (pmd_same(pmd, pmdp_get_lockless(pmdp)))
			return pte_offset_kernel(&pmd, addr);
		spin_unlock(*lock);
	}
	rcu_read_unlock();
	return NULL;
}

static void pbm_unlock_table(spinlock_t *lock)
{
	spin_unlock(lock);
	rcu_read_unlock();
}

/*
 * Clear the accessed bit of an entry that no TLB has yet, so that none is
 * flushed. Without one that the processor sets, clearing it would cost a fault.
 */
static void pbm_forget(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep)
{
#if defined(CONFIG_X86)
	/* As ptep_test_and_clear_young(), which modules cannot call here. */
	clear_bit(_PAGE_BIT_ACCESSED, (unsigned long *)&ptep->pte);
#elif defined(CONFIG_ARM64)
	if (arch_has_hw_pte_young())
		ptep_test_and_clear_young(vma, addr, ptep);
#endif
}

/*
 * Whether the page of @ptep was mapped since it was last looked at, and is now
 * in @known. If so, and unless @keep, its accessed bit is cleared: it was set
 * because the page was mapped, not because it was used.
 */
static bool pbm_is_new(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep,
		       u64 *known, bool keep)
{
	unsigned int index = pte_index(addr);
	pte_t pte = ptep_get(ptep);

	if (!pte_present(pte) || (known[index / 64] & BIT_ULL(index % 64)))
		return false;
	known[index / 64] |= BIT_ULL(index % 64);
	/* A page that was written is in use. */
	if (!keep && !pte_dirty(pte) && !pte_special(pte) &&
	    !folio_test_anon(page_folio(pte_page(pte))))
		pbm_forget(vma, addr, ptep);
	return true;
}

/*
 * After a fault at @addr, or 0: find the pages of [@start, @end) that were mapped
 * since the last call, and unless somebody may have used them, which clears
 * @forget, forget the accesses to those that were not asked for. All of it is in
 * one PMD, for which @known has a bit a page. With an @addr only the pages around
 * it are looked at, as far as they are new.
 */
void pbm_settle(struct mm_struct *mm, unsigned long start, unsigned long end,
		unsigned long addr, u64 *known, bool forget)
{
	struct vm_area_struct *vma = vma_lookup(mm, start);
	unsigned long from = start, to = end, at;
	spinlock_t *lock; /* of the page table */
	pte_t *table;

	if (addr) {
		/* The default of fault_around_bytes. */
		from = max(start, round_down(addr, SZ_64K));
		to = min(end, round_down(addr, SZ_64K) + SZ_64K);
	}
	table = pbm_lock_table(mm, start, &lock);
	if (!table)
		return;
	for (at = from; at < to; at += PAGE_SIZE)
		pbm_is_new(vma, at, table + ((at - start) >> PAGE_SHIFT), known,
			   !forget || at == addr);
	/* A larger folio is mapped whole. */
	for (at = to; addr && at < end; at += PAGE_SIZE) {
		if (!pbm_is_new(vma, at, table + ((at - start) >> PAGE_SHIFT), known, !forget))
			break;
	}
	for (at = from; addr && at > start; at -= PAGE_SIZE) {
		if (!pbm_is_new(vma, at - PAGE_SIZE,
				table + ((at - PAGE_SIZE - start) >> PAGE_SHIFT),
				known, !forget))
			break;
	}
	pbm_unlock_table(lock);
}

bool pbm_has_table(struct mm_struct *mm, unsigned long addr)
{
	return pbm_table(mm, addr);
}

/*
 * Have the page at @addr in current's mm mapped by an ordinary fault, so that
 * there is a page table. The mmap lock is held, and is not let go of meanwhile:
 * who is to take it again while a lock is held that comes after it waits for a
 * writer that waits for another reader that waits for that lock.
 */
bool pbm_fault_in(struct mm_struct *mm, unsigned long addr)
{
	return !fixup_user_fault(mm, addr, 0, NULL);
}

/*
 * Map those pages of [@start, @end), in one PMD that has a page table and in one
 * mapping of @file, that are cached and up to date. The mmap lock is held.
 */
void pbm_map_cached(struct mm_struct *mm, struct file *file, unsigned long start,
		    unsigned long end)
{
	struct vm_area_struct *vma = vma_lookup(mm, start);
	pmd_t *pmd = pbm_table(mm, start);

	if (pmd && vma && vma->vm_file && end <= vma->vm_end &&
	    file_inode(vma->vm_file) == file_inode(file) && pbm_mappable(vma)) {
		pgoff_t first = linear_page_index(vma, start);
		struct vm_fault vmf = {
			.vma = vma,
			.address = start,
			.real_address = start,
			.pgoff = first,
			.gfp_mask = mapping_gfp_mask(file->f_mapping),
			.pmd = pmd,
		};

		rcu_read_lock();
		vma->vm_ops->map_pages(&vmf, first, first + ((end - start) >> PAGE_SHIFT) - 1);
		rcu_read_unlock();
	}
}
