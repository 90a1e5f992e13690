/* SPDX-License-Identifier: MIT */
/* Linux's tables of patched text: include/linux/jump_label.h,
 * arch/x86/include/asm/{alternative,paravirt,extable,bug}.h, include/linux/static_call_types.h,
 * arch/x86/kernel/vmlinux.lds.S. Left out is __call_sites: it lists every call, which stays a call of the same
 * function. */
#include "arch/x86/x86_internal.h"

/* A direct call, jmp or jcc, with its segment prefix if it has one. */
static uint32_t transfer(const uint8_t *text)
{
	uint32_t prefix = text[0] == 0x2e || text[0] == 0x3e;

	return prefix + (text[prefix] == 0x0f ? 6 : 5);
}

/* A jump or nop of two or of five bytes. */
static uint32_t key(const uint8_t *text)
{
	return text[0] == 0xeb || (text[0] == 0x66 && text[1] == 0x90) ? 2 : 5;
}

static uint32_t call(const uint8_t *text)
{
	(void)text;
	return 5;
}

static uint32_t prefix(const uint8_t *text)
{
	(void)text;
	return 1;
}

static uint32_t endbr(const uint8_t *text)
{
	(void)text;
	return 4;
}

/* ud2, ud1 */
static uint32_t bug(const uint8_t *text)
{
	return text[0] == 0x0f && (text[1] == 0x0b || text[1] == 0xb9) ? 2 : 0;
}

/* Alternatives: cpuid (since 6.3 flags, too) stands between offsets and lengths; a padding length followed those until
 * 5.12. Static keys are relative since 4.19. Functions that the linker dropped leave zeros in mcount's; the section of
 * locks is filled up with zeros to a page's end. */
const struct site_table x86_site_tables[] = {
	{"alternatives",
	 "__alt_instructions",
	 "__alt_instructions_end",
	 SITE_ALTERNATIVE,
	 SITE_FORM_ALTERNATIVE,
	 false,
	 {14, 12, 13},
	 NULL},
	{"static keys",
	 "__start___jump_table",
	 "__stop___jump_table",
	 SITE_STATIC_KEY,
	 SITE_FORM_KEY,
	 false,
	 {16, 24},
	 key},
	{"static calls",
	 "__start_static_call_sites",
	 "__stop_static_call_sites",
	 SITE_STATIC_CALL,
	 SITE_FORM_RELATIVE,
	 false,
	 {8},
	 transfer},
	{"retpolines",
	 "__retpoline_sites",
	 "__retpoline_sites_end",
	 SITE_RETPOLINE,
	 SITE_FORM_RELATIVE,
	 false,
	 {4},
	 transfer},
	{"returns", "__return_sites", "__return_sites_end", SITE_RETURN, SITE_FORM_RELATIVE, false, {4}, transfer},
	{"mcount", "__start_mcount_loc", "__stop_mcount_loc", SITE_MCOUNT, SITE_FORM_ABSOLUTE, true, {8}, call},
	{"paravirt",
	 "__parainstructions",
	 "__parainstructions_end",
	 SITE_PARAVIRT,
	 SITE_FORM_PARAVIRT,
	 false,
	 {16},
	 NULL},
	{"locks", "__smp_locks", "__smp_locks_end", SITE_LOCK, SITE_FORM_RELATIVE, true, {4}, prefix},
	{"endbr", "__ibt_endbr_seal", "__ibt_endbr_seal_end", SITE_MARKER, SITE_FORM_RELATIVE, false, {4}, endbr},
	{"fixups", "__start___ex_table", "__stop___ex_table", SITE_FIXUP, SITE_FORM_FIXUP, false, {12, 8}, NULL},
	{"bugs", "__start___bug_table", "__stop___bug_table", SITE_BUG, SITE_FORM_BUG, false, {12, 6, 8}, bug},
	{0},
};
