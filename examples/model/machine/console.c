/* SPDX-License-Identifier: MIT */
#include "console.h"

#include <stdarg.h>

#include "cpu.h"

#define PORT 0x3f8
#define LINE_STATUS (PORT + 5)
#define TRANSMITTER_EMPTY 0x20

void console_init(void)
{
	outb(PORT + 1, 0);    /* no interrupts */
	outb(PORT + 3, 0x80); /* divisor latch: 115200 baud, */
	outb(PORT + 0, 1);
	outb(PORT + 1, 0);
	outb(PORT + 3, 3); /* 8 bits, no parity, one stop bit */
}

static void put_raw(char c)
{
	while (!(inb(LINE_STATUS) & TRANSMITTER_EMPTY))
		cpu_relax();
	outb(PORT, (uint8_t)c);
}

static void put(char c)
{
	if (c == '\n')
		put_raw('\r');
	put_raw(c);
}

static void put_string(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_number(uint64_t value, unsigned base, char fill, int width)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (; width > n; width--)
		put(fill);
	while (n)
		put(digits[--n]);
}

static void put_signed(int64_t value, char fill, int width)
{
	if (value < 0)
		put('-');
	put_number(value < 0 ? -(uint64_t)value : (uint64_t)value, 10, fill, width);
}

void printf(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	for (; *format; format++) {
		bool wide = false;
		char fill = ' ';
		int width = 0;

		if (*format != '%') {
			put(*format);
			continue;
		}
		if (*++format == '0')
			fill = *format++;
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + *format - '0';
		for (; *format == 'l'; format++)
			wide = true;
		switch (*format) {
		case 's': put_string(va_arg(ap, const char *)); break;
		case 'c': put((char)va_arg(ap, int)); break;
		case 'd': put_signed(wide ? va_arg(ap, long) : va_arg(ap, int), fill, width); break;
		case 'u': put_number(wide ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), 10, fill, width); break;
		case 'x': put_number(wide ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), 16, fill, width); break;
		default: put(*format); break;
		}
	}
	va_end(ap);
}
