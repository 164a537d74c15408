/* SPDX-License-Identifier: GPL-2.0 */
	.section .init.rodata, "a"
	.global old_handler_start
old_handler_start:
	.incbin STATIC_HANDLER
	.global old_handler_end
old_handler_end:
