// SPDX-License-Identifier: GPL-2.0-only
/* What the calling task has given up: read from the task itself, never from what it says. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/seccomp.h>
#include <linux/uidgid.h>
#include "shim.h"

/* Context: any process context, no locks. Does the caller belong to this process? */
bool umd_task_is(const struct pid *pid)
{
	return task_tgid(current) == pid;
}

/* One thread, and no child that could hold what this task gives up. */
bool umd_task_is_single(void)
{
	return get_nr_threads(current) == 1 && list_empty(&current->children);
}

bool umd_task_has_ids(u32 id)
{
	const struct cred *cred = current_cred();
	kuid_t uid = make_kuid(&init_user_ns, id);
	kgid_t gid = make_kgid(&init_user_ns, id);

	return uid_eq(cred->uid, uid) && uid_eq(cred->euid, uid) &&
	       uid_eq(cred->suid, uid) && uid_eq(cred->fsuid, uid) &&
	       gid_eq(cred->gid, gid) && gid_eq(cred->egid, gid) &&
	       gid_eq(cred->sgid, gid) && gid_eq(cred->fsgid, gid) &&
	       cred->group_info->ngroups == 0;
}

bool umd_task_has_no_caps(void)
{
	const struct cred *cred = current_cred();

	return cap_isclear(cred->cap_effective) && cap_isclear(cred->cap_permitted) &&
	       cap_isclear(cred->cap_inheritable) && cap_isclear(cred->cap_ambient);
}

bool umd_task_has_no_new_privs(void)
{
	return task_no_new_privs(current);
}

/* Nothing can be gained from it after no_new_privs; an empty set is easier to read. */
int umd_task_drop_bounding_set(void)
{
	struct cred *cred = prepare_creds();

	if (!cred)
		return -ENOMEM;
	cred->cap_bset = CAP_EMPTY_SET;
	return commit_creds(cred);
}

/*
 * From now on read, write, exit and rt_sigreturn; any other system call is the task's end. The mode
 * is a number without contents: what is read here is all there is to it.
 */
bool umd_task_set_strict(void)
{
	if (current->seccomp.mode != SECCOMP_MODE_DISABLED &&
	    current->seccomp.mode != SECCOMP_MODE_STRICT)
		return false;
	current->seccomp.mode = SECCOMP_MODE_STRICT;
	/* The entry code must see the mode when it sees the flag. */
	smp_mb__before_atomic();
	set_task_syscall_work(current, SECCOMP);
	return true;
}

bool umd_task_is_dying(void)
{
	return fatal_signal_pending(current);
}
