// SPDX-License-Identifier: GPL-2.0
/* Being told of page faults of address spaces that have an mmu notifier. */
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#ifdef CONFIG_X86
#include <asm/trap_pf.h>
#endif

#include "shim.h"

/*
 * Runs before the fault is handled, with interrupts off. All of the machine's
 * faults come by, so that the common case is two loads.
 */
static void pbm_fault_probe(void *data, unsigned long address,
			    struct pt_regs *regs, unsigned long error_code)
{
	struct mm_struct *mm = current->mm;

	if (likely(!mm || !mm->notifier_subscriptions))
		return;
	if (address >= TASK_SIZE_MAX || in_nmi() || faulthandler_disabled())
		return;
	/* These never return to user mode, where the fault is followed up. */
	if (current->flags & (PF_KTHREAD | PF_USER_WORKER))
		return;
#ifdef CONFIG_X86
	/* A write maps one page alone, and a page that is there maps none. */
	if (error_code & (X86_PF_PROT | X86_PF_WRITE))
		return;
#endif
	pbm_fault(mm, address);
}

static struct pbm_probes pbm_fault_probes = {
	.names = { "page_fault_user", "page_fault_kernel" },
	.calls = { pbm_fault_probe, pbm_fault_probe },
};

bool pbm_fault_find(void)
{
	return IS_ENABLED(CONFIG_X86) && pbm_probes_find(&pbm_fault_probes);
}

bool pbm_fault_register(void)
{
	return pbm_probes_register(&pbm_fault_probes);
}

void pbm_fault_unregister(void)
{
	pbm_probes_unregister(&pbm_fault_probes);
}
