// SPDX-License-Identifier: GPL-2.0
/* Being told of page faults of address spaces that have an mmu notifier. */
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>

#ifdef CONFIG_X86
#include <asm/trap_pf.h>
#endif

#include "shim.h"

static struct tracepoint *pbm_fault_points[2];

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
#ifdef CONFIG_X86
	/* A write maps one page alone, and a page that is there maps none. */
	if (error_code & (X86_PF_PROT | X86_PF_WRITE))
		return;
#endif
	pbm_fault(mm, address);
}

static void pbm_find_point(struct tracepoint *point, void *unused)
{
	if (!strcmp(point->name, "page_fault_user"))
		pbm_fault_points[0] = point;
	else if (!strcmp(point->name, "page_fault_kernel"))
		pbm_fault_points[1] = point;
}

/* False where the kernel has no such tracepoints. */
bool pbm_fault_find(void)
{
	if (!IS_ENABLED(CONFIG_X86))
		return false;
	pbm_fault_points[0] = NULL;
	pbm_fault_points[1] = NULL;
	for_each_kernel_tracepoint(pbm_find_point, NULL);
	return pbm_fault_points[0] && pbm_fault_points[1];
}

/* To be called only after pbm_fault_find() has said yes. */
bool pbm_fault_register(void)
{
	if (tracepoint_probe_register(pbm_fault_points[0], pbm_fault_probe, NULL))
		return false;
	if (tracepoint_probe_register(pbm_fault_points[1], pbm_fault_probe, NULL)) {
		tracepoint_probe_unregister(pbm_fault_points[0], pbm_fault_probe, NULL);
		tracepoint_synchronize_unregister();
		return false;
	}
	return true;
}

/* No probe runs any more when this returns. */
void pbm_fault_unregister(void)
{
	tracepoint_probe_unregister(pbm_fault_points[0], pbm_fault_probe, NULL);
	tracepoint_probe_unregister(pbm_fault_points[1], pbm_fault_probe, NULL);
	tracepoint_synchronize_unregister();
}
