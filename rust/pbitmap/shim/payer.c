// SPDX-License-Identifier: GPL-2.0
/* On whose account a kernel thread looks up and reads. */
#include <linux/blk-cgroup.h>
#include <linux/fs_struct.h>
#include <linux/ioprio.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "shim.h"

/* What of current decides who pays for a read. */
void pbm_payer_get(struct pbm_payer *payer)
{
	payer->ioprio = get_current_ioprio();
	payer->memcg = get_mem_cgroup_from_mm(current->mm);
#ifdef CONFIG_BLK_CGROUP
	payer->blkcg = task_get_css(current, io_cgrp_id);
#else
	payer->blkcg = NULL;
#endif
}

void pbm_payer_put(struct pbm_payer *payer)
{
	mem_cgroup_put(payer->memcg);
#ifdef CONFIG_BLK_CGROUP
	css_put(payer->blkcg);
#endif
}

/* Current, a kernel thread, reads on account of @payer from now on. */
void pbm_payer_assume(const struct pbm_payer *payer, struct pbm_payer *old)
{
	old->ioprio = get_current_ioprio();
	if (payer->ioprio != old->ioprio)
		set_task_ioprio(current, payer->ioprio);
	old->blkcg = NULL;
	old->memcg = set_active_memcg(payer->memcg);
#ifdef CONFIG_BLK_CGROUP
	kthread_associate_blkcg(payer->blkcg);
#endif
}

void pbm_payer_leave(const struct pbm_payer *payer, const struct pbm_payer *old)
{
#ifdef CONFIG_BLK_CGROUP
	kthread_associate_blkcg(NULL);
#endif
	set_active_memcg(old->memcg);
	if (payer->ioprio != old->ioprio)
		set_task_ioprio(current, old->ioprio);
}

const struct cred *pbm_override_creds(const struct cred *cred)
{
	return override_creds(cred);
}

void pbm_revert_creds(const struct cred *old)
{
	revert_creds(old);
}

bool pbm_gave_up_privileges(void)
{
	return task_no_new_privs(current);
}

static bool pbm_fs_root(struct task_struct *task, struct path *root)
{
	bool found = false;

	task_lock(task);
	if (task->fs) {
		get_fs_root(task->fs, root);
		found = true;
	}
	task_unlock(task);
	return found;
}

/*
 * The root folder of @task; of another of its threads if it has ended before
 * them, as main threads do; false if all have.
 */
bool pbm_task_root(struct task_struct *task, struct path *root)
{
	struct task_struct *thread;
	bool found = pbm_fs_root(task, root);

	if (found)
		return true;
	rcu_read_lock();
	for_each_thread(task, thread) {
		found = pbm_fs_root(thread, root);
		if (found)
			break;
	}
	rcu_read_unlock();
	return found;
}
