// SPDX-License-Identifier: GPL-2.0
/* Locks that are taken with interrupts off: spin locks sleep on PREEMPT_RT. */
#include <linux/lockdep.h>
#include <linux/spinlock.h>

#include "shim.h"

void pbm_raw_lock_init(raw_spinlock_t *lock, const char *name, struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(lock, name, key, LD_WAIT_SPIN);
#else
	raw_spin_lock_init(lock);
#endif
}

void pbm_raw_lock(raw_spinlock_t *lock)
{
	raw_spin_lock(lock);
}

bool pbm_raw_trylock(raw_spinlock_t *lock)
{
	return raw_spin_trylock(lock);
}

void pbm_raw_unlock(raw_spinlock_t *lock)
{
	raw_spin_unlock(lock);
}

void pbm_raw_assert_held(raw_spinlock_t *lock)
{
	lockdep_assert_held(lock);
}
