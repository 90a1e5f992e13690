/* SPDX-License-Identifier: MIT */
/* The first serial port (16550 at 0x3f8), polled; and a printf that writes to it. */
#ifndef MODEL_CONSOLE_H
#define MODEL_CONSOLE_H

void console_init(void);

/* Knows %s %c %d %u %x %%, with l for 64 bits, 0 and a width. A line feed becomes carriage return, line feed. */
void printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
