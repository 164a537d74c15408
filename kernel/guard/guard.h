/* SPDX-License-Identifier: GPL-2.0-only */
/* What the BPF program and the module that loads it have to agree about. */
#ifndef UMD_GUARD_H
#define UMD_GUARD_H

/* In signal_struct.flags, far above the kernel's own bits: guarded. */
#define UMD_SIGNAL_GUARDED	(1U << 30)

#endif
