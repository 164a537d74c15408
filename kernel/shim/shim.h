/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The seam between umd.ko's Rust and the kernel. Rust knows no kernel structure: all of them are
 * opaque to it and live here. These functions decide nothing.
 *
 * umd_*     is written in C and called by Rust.
 * umd_rs_*  is written in Rust and called from here.
 *
 * Unless a comment says otherwise a function may sleep and expects no lock to be held.
 */
#ifndef UMD_SHIM_H
#define UMD_SHIM_H

#include <linux/types.h>

struct dentry;
struct file;
struct file_operations;
struct pid;
struct poll_table_struct;
struct umd_driver;
struct umd_file;
struct umd_image;
struct umd_lock;
struct umd_options;
struct umd_sysfs;
struct umd_timer;
struct umd_waitq;
struct umd_worker;
struct vfsmount;
struct wait_queue_head;
struct workqueue_struct;

/* memory.c */
void *umd_alloc(size_t size);
void umd_free(void *memory);		/* any context; NULL is fine */
void *umd_alloc_big(size_t size);	/* zeroed, for buffers of many pages */
void umd_free_big(void *memory);	/* NULL is fine */

/* sync.c */
struct umd_lock *umd_lock_new(u32 class);
void umd_lock_free(struct umd_lock *lock);
unsigned long umd_lock_acquire(struct umd_lock *lock);	/* any context; IRQs off until release */
void umd_lock_release(struct umd_lock *lock, unsigned long flags);

struct umd_waitq *umd_waitq_new(size_t count);
void umd_waitq_free(struct umd_waitq *waitq);
void umd_waitq_rouse(void);					/* any context */
void umd_waitq_wake(struct umd_waitq *waitq, size_t index);	/* any context */
/*
 * These return 0 when ready(context) is true, -ETIME when it is not by `until` (U64_MAX: never);
 * ready is called without a lock.
 */
int umd_waitq_killable(struct umd_waitq *waitq, size_t index, bool (*ready)(void *),
		       void *context, u64 until);		/* -EINTR: fatal signal */
int umd_waitq_interruptible(struct umd_waitq *waitq, size_t index, bool (*ready)(void *),
			    void *context);			/* -ERESTARTSYS: a signal */
int umd_waitq_until(struct umd_waitq *waitq, size_t index, bool (*ready)(void *),
		    void *context, u64 until);			/* no signal ends it */
void umd_waitq_poll(struct umd_waitq *waitq, size_t index, struct file *file,
		    struct poll_table_struct *table);

/* clock.c. Times are of its clock, in nanoseconds. */
u64 umd_now(void);						/* any context */
u64 umd_clock_due(u64 at);					/* any context */
/* Is the system about to freeze its processes, or has it? Where it is the state of a task that waits says so. */
extern bool umd_clock_may_stop;
#define umd_clock_freezable()	(READ_ONCE(umd_clock_may_stop) ? TASK_FREEZABLE_UNSAFE : 0)
int umd_clock_init(void);
void umd_clock_exit(void);

/* sync.c, once more */
struct umd_timer *umd_timer_new(void (*fire)(void *));		/* fire runs in hard IRQ context */
void umd_timer_bind(struct umd_timer *timer, void *context);
void umd_timer_start(struct umd_timer *timer, u64 at);		/* any context */
void umd_timer_free(struct umd_timer *timer);			/* waits for a running callback */

long umd_ticks_until(u64 until);				/* in jiffies, as schedule_timeout() wants */
int umd_wait_killable(struct wait_queue_head *head, bool (*ready)(void *), void *context, u64 until);

/*
 * What processes of an image are to be, as umd-kernel's ffi::image has it too.
 *
 * @orders:	for the launcher: umd_core::lockdown::Lockdown::encode()
 * @memory_max:	RLIMIT_AS
 * @profile:	enum umd_profile
 * @nice:	-20 to 19
 * @foreign:	made for the in-tree facility: it knows nothing of us, and may want the kernel log
 */
struct umd_image_plan {
	u8 orders[72];
	u64 memory_max;
	u32 profile;
	s32 nice;
	u32 foreign;
};

/* image.c */
struct umd_image *umd_image_new(const char *name, const void *data, size_t len,
				const struct umd_image_plan *plan, int *error);
struct vfsmount *umd_image_mount(const struct umd_image *image);	/* any context */
void umd_image_free(struct umd_image *image);

/* process.c */
extern struct workqueue_struct *umd_workqueue;			/* drained before umd.ko goes */
int umd_process_spawn(struct umd_image *image, struct file *channel, void *process, u64 until,
		      bool *watched);
void umd_process_kill(struct pid *pid);				/* any context */
bool umd_process_lend_priority(struct pid *pid);		/* process context */
void umd_process_take_priority(struct pid *pid);		/* process context */
int umd_process_number(struct pid *pid);			/* any context; 0 for NULL */
void umd_process_put(struct pid *pid);				/* any context; NULL is fine */
int umd_process_init(void);
void umd_process_exit(void);
void umd_rs_process_born(void *process, struct pid *pid);	/* takes over a reference to pid */
/* Takes over one to process. denied: the system call that seccomp ended it for, UMD_NONE_DENIED if none. */
#define UMD_NONE_DENIED		U32_MAX
#define UMD_DENIED_ELSEWHERE	(1U << 31)	/* with a number of another convention */
void umd_rs_process_exited(void *process, u32 status, u32 denied);

/* task.c: about the task that calls. */
bool umd_task_is(const struct pid *pid);
bool umd_task_is_itself(void);
bool umd_task_is_single(void);
bool umd_task_has_only(const void *process);
void umd_task_no_more_files(void);
void umd_task_release(void);
bool umd_task_has_ids(u32 id);
bool umd_task_has_no_caps(void);
bool umd_task_has_no_new_privs(void);
bool umd_task_cannot_fork(void);
int umd_task_drop_bounding_set(void);
bool umd_task_set_strict(void);
bool umd_task_has_filter(void);
bool umd_task_is_dying(void);
/* Near the end of the OOM killer's list: a handler is small, and somebody waits for it. */
#define UMD_OOM_SCORE_ADJ	(-900)

/* guard.c */
bool umd_guard_is_on(void);					/* any context */
void umd_guard_current(void);
int umd_guard_init(void);
void umd_guard_pin(void);
void umd_guard_exit(void);

/* channel.c */
struct file *umd_channel_file(void *process, int *error);
bool umd_channel_is(const struct file *file, const void *process);
bool umd_sink_is(const struct file *file);
/* These two never sleep and never fault: 0 or the number of bytes that were not copied. */
size_t umd_copy_to_handler(void __user *to, const void *from, size_t len);
size_t umd_copy_from_handler(void *to, const void __user *from, size_t len);
size_t umd_clear_handler(void __user *to, size_t len);
/* Make a page present: 0 or the number of bytes that cannot be reached. */
size_t umd_fault_in_writeable(void __user *to, size_t len);
size_t umd_fault_in_readable(const void __user *from, size_t len);
ssize_t umd_rs_channel_read(void *process, char __user *to, size_t len, bool nonblock);
ssize_t umd_rs_channel_write(void *process, const char __user *from, size_t len, bool nonblock);
u32 umd_rs_channel_poll(void *process, struct file *file, struct poll_table_struct *table);
void umd_rs_channel_release(void *process);	/* takes over the file's reference to process */

/* kmod.c */
int umd_module_request(const char *name, u64 until);
void umd_rs_module_ended(const char *name, int result);	/* for each request, also if nobody waits */
int umd_sleep(u64 nanos);

/* stream.c */
struct file *umd_stream_file(void *process, bool to_handler);
void *umd_stream_process(const struct file *file);
ssize_t umd_rs_stream_read(void *process, void *to, size_t len);
ssize_t umd_rs_stream_write(void *process, const void *from, size_t len);
void umd_rs_stream_release(void *process, bool to_handler);	/* takes over a reference */

/*
 * For capi.c. A blob is known by its mount: from the load, which makes it, to the unload. options may be NULL;
 * check, which may be NULL too, is called after each start, with the process and context.
 */
struct vfsmount *umd_rs_blob_load(const char *name, const void *data, size_t len,
				  const struct umd_options *options,
				  int (*check)(void *process, void *context), void *context,
				  int *error);
int umd_rs_blob_unload(struct vfsmount *mount);
void *umd_rs_blob_fork(struct vfsmount *mount, int *error);	/* a reference, or NULL and an error */
/* For a call that began at begin, as umd_now() told it: its deadline holds for both. */
int umd_rs_blob_call(struct vfsmount *mount, const void *context, u64 begin, const void *request,
		     size_t request_len, void *reply, size_t reply_len);
int umd_rs_module_request(const char *name, u64 begin, bool (*is_loaded)(void *), void *context);
void umd_rs_module_came(const char *name);
void umd_rs_module_goes(const char *name, bool let_go);	/* before and after it lets go */
void umd_rs_process_get(void *process);				/* any context */
void umd_rs_process_put(void *process);
struct pid *umd_rs_process_pid(void *process);			/* without a reference; any context */
u64 umd_rs_process_start_deadline(void *process);		/* any context */
int umd_rs_stream_exchange(void *process, const void *request, size_t request_len, void *reply,
			   size_t reply_len);

/* launcher.c */
int umd_launcher_init(void);
void umd_launcher_exit(void);

/* module.c: what umd.ko has one of. */
int umd_rs_init(void);
void umd_rs_exit(void);

/* sysfs.c */
struct umd_sysfs *umd_sysfs_new(const char *name, const char *const *files, const u16 *modes,
				size_t count, void *driver, int *error);
void umd_sysfs_free(struct umd_sysfs *sysfs);	/* waits for readers and writers to leave */
int umd_kmsg_init(void);
void umd_kmsg_exit(void);
int umd_sysfs_init(void);
void umd_sysfs_exit(void);
ssize_t umd_rs_sysfs_show(void *driver, u32 index, char *page, size_t len);
ssize_t umd_rs_sysfs_store(void *driver, u32 index, const char *text, size_t len);

/* securityfs.c: for driver modules, which know these two from driver/driver.h. */
struct umd_file *umd_file_new(struct dentry *parent, const char *name, u16 mode,
			      const struct file_operations *fops, void *data, int *error);
void umd_file_free(struct umd_file *file);

/* trace.c: any context. pid may be NULL. */
void umd_trace_start(const char *driver, struct pid *pid, int error);
void umd_trace_request(const char *driver, struct pid *pid, u32 id, u32 len);
void umd_trace_reply(const char *driver, struct pid *pid, u32 id, int result);
void umd_trace_timeout(const char *driver, struct pid *pid);
void umd_trace_exit(const char *driver, struct pid *pid, u32 status);

/* log.c: any context. */
void umd_log_failure(const char *driver, int pid, const char *what, size_t len, int error);
void umd_log_exit(const char *driver, int pid, u32 status);
void umd_log_denied(const char *driver, int pid, const char *name, size_t len, u32 number);

#endif
