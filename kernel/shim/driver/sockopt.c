// SPDX-License-Identifier: GPL-2.0-only
/*
 * IPv4 socket options that Rust answers before netfilter's own handlers are asked.
 *
 * nf_getsockopt() and nf_setsockopt() are what the kernel calls for an option that IP does not
 * know. ftrace sends the calls for options in our window to functions here; all others go on at
 * once. What Rust does not answer is handed to the kernel's own function.
 *
 * No reference to the module is held meanwhile: a caller must not be able to keep it loaded. Why no
 * code is unmapped under anybody:
 *
 * 1. Who is sent here is counted in ftrace's callback, so before the first instruction of ours.
 * 2. unregister_ftrace_function() returns when no callback runs and none will. From then on the
 *    count only falls.
 * 3. A caller counts itself out when nothing of ours is left to do but to return. As long as it is
 *    in the kernel's own function, to which it came by a call and not by a jump, it is counted.
 * 4. So once the count is 0, callers are at most between that and their return instruction, where
 *    nobody sleeps. They may have been preempted there; synchronize_rcu_tasks() returns when
 *    each task that was has gone on until it slept of its own accord, or was in user space.
 */
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <net/sock.h>
#include "driver.h"

/* Kernels before 6.2 have other names. */
#ifndef ftrace_regs_get_argument
#define ftrace_regs_get_argument(fregs, n) regs_get_kernel_argument(&(fregs)->regs, n)
#define ftrace_regs_set_instruction_pointer ftrace_instruction_pointer_set
#endif

/* How far behind a function's begin its call of ftrace may be. */
#define ENTRY 16

static const struct umd_mod_sockopt_server *server;
static atomic_t callers = ATOMIC_INIT(0);

/* Is this call for Rust at all? If not, it is as if we were not there. */
static bool is_served(const struct sock *sk, unsigned int len)
{
	const struct net *net = sock_net(sk);

	return len <= server->len_max && net_eq(net, &init_net) && !in_compat_syscall() &&
	       ns_capable_noaudit(net->user_ns, CAP_NET_ADMIN);
}

/* Nothing of the module's may be used any more. */
static __always_inline void leave(void)
{
	smp_mb__before_atomic();
	atomic_dec(&callers);
}

static noinline int hooked_get(struct sock *sk, u_int8_t family, int option, char __user *value,
			       int *len)
{
	const struct umd_mod_sockopt call = {
		.option = option,
		.len = *len,
		.pid = task_pid_nr(current),
		.value = (unsigned long)value,
	};
	int result = -ENOPROTOOPT;

	if (is_served(sk, *len))
		result = server->serve(server->data, &call);
	if (result == -ENOPROTOOPT) {
		result = nf_getsockopt(sk, family, option, value, len);
	} else if (result >= 0) {
		*len = result;
		result = 0;
	}
	leave();
	return result;
}

static noinline int hooked_set(struct sock *sk, u_int8_t family, int option, sockptr_t value,
			       unsigned int len)
{
	const struct umd_mod_sockopt call = {
		.is_set = 1,
		.option = option,
		.len = len,
		.pid = task_pid_nr(current),
		.value = (unsigned long)value.user,
	};
	int result = -ENOPROTOOPT;

	if (!sockptr_is_kernel(value) && is_served(sk, len))
		result = server->serve(server->data, &call);
	if (result == -ENOPROTOOPT)
		result = nf_setsockopt(sk, family, option, value, len);
	else if (result > 0)
		result = 0;
	leave();
	return result;
}

/* It calls nothing that ftrace could trace, so it needs no protection from itself. */
static void notrace redirect(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			     struct ftrace_regs *fregs)
{
	const u8 family = ftrace_regs_get_argument(fregs, 1);
	const int option = ftrace_regs_get_argument(fregs, 2);
	const bool is_get = ip - (unsigned long)nf_getsockopt < ENTRY;
	const struct umd_mod_sockopt_window *window = is_get ? &server->get : &server->set;

	if (family != PF_INET || option < window->begin || option >= window->end)
		return;
	/* The functions above, which want the kernel's own. */
	if (within_module_core(parent_ip, THIS_MODULE))
		return;
	atomic_inc(&callers);
	ftrace_regs_set_instruction_pointer(fregs, is_get ? (unsigned long)hooked_get :
							    (unsigned long)hooked_set);
}

/*
 * Livepatch's choice of flags: arguments and the instruction pointer are there without SAVE_REGS,
 * which costs more. PERMANENT: while we are here, ftrace cannot be switched off.
 */
static struct ftrace_ops ops = {
	.func = redirect,
	.flags = FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT,
};

/* One at a time; @new_server must live until umd_mod_sockopt_end() has returned. */
int umd_mod_sockopt_begin(const struct umd_mod_sockopt_server *new_server)
{
	unsigned long functions[] = { (unsigned long)nf_getsockopt, (unsigned long)nf_setsockopt };
	int error;

	if (server)
		return -EBUSY;
	error = ftrace_set_filter_ips(&ops, functions, ARRAY_SIZE(functions), 0, 1);
	if (!error) {
		server = new_server;
		error = register_ftrace_function(&ops);
	}
	if (error) {
		server = NULL;
		ftrace_free_filter(&ops);
	}
	return error;
}

/*
 * Waits for callers: for those whom Rust serves, who must have been let go before, and for those in
 * the kernel's own functions. Context: may sleep.
 */
void umd_mod_sockopt_end(void)
{
	unregister_ftrace_function(&ops);
	while (atomic_read_acquire(&callers))
		schedule_timeout_idle(1);
	synchronize_rcu_tasks();
	ftrace_free_filter(&ops);
	server = NULL;
}

/* From and to the memory of the calling task. */
int umd_mod_copy_from_user(void *to, u64 address, size_t len)
{
	return copy_from_user(to, (const void __user *)address, len) ? -EFAULT : 0;
}

int umd_mod_copy_to_user(u64 address, const void *from, size_t len)
{
	return copy_to_user((void __user *)address, from, len) ? -EFAULT : 0;
}
