/* SPDX-License-Identifier: GPL-2.0-only */
/* The handler's executable. The kernel frees this section when the module's init has returned. */
	.section .init.rodata, "a"
	.global sample_c_handler_start
sample_c_handler_start:
	.incbin HANDLER
	.global sample_c_handler_end
sample_c_handler_end:
