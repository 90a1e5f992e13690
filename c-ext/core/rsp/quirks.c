/* SPDX-License-Identifier: MIT */
#include "rsp/quirks.h"

#include "base/util.h"
#include "rsp/stub.h"

const struct quirk quirks[] = {
	{.name = "reports-again",
	 .stub = "QEMU 7.2",
	 .what = "`c` at a PC that carries a breakpoint reports the same stop again; `s` steps past it",
	 .where = "relay/step.c",
	 .sign = QUIRK_SEEN},
	{.name = "any-byte-stops",
	 .stub = "QEMU 7.2",
	 .what = "any byte that arrives while the guest runs stops it, the `+` of an acknowledgement included: that is "
		 "finished before a resume packet, nothing is pipelined past one, and nothing but 0x03 is written then",
	 .where = "rsp/stub.c",
	 .sign = QUIRK_ALWAYS},
	{.name = "question-forgets",
	 .stub = "QEMU 7.2",
	 .what = "`?` makes it drop all breakpoints: the relay asks once, and answers GDB's own from memory",
	 .where = "relay/gdb_answer.c",
	 .sign = QUIRK_ALWAYS},
	{.name = "leading-zeros",
	 .stub = "QEMU 7.2",
	 .what = "it writes thread ids as `p01.01` where GDB writes `p1.1`",
	 .where = "rsp/reply.c",
	 .sign = QUIRK_ALWAYS},
	{.name = "registers-after-description",
	 .stub = "QEMU 7.2",
	 .what = "`p` and `P` answer with an empty packet until target.xml has been read",
	 .where = "rsp/handshake.c",
	 .sign = QUIRK_ALWAYS},
	{.id = QUIRK_NO_REASONS,
	 .name = "no-reasons",
	 .stub = "QEMU 7.2",
	 .what = "its stops do not say that they are breakpoints'",
	 .where = "relay/passing.c",
	 .sign = QUIRK_LACKS,
	 .features = {"swbreak", NULL}},
	{.id = QUIRK_GOES_BACKWARDS,
	 .name = "goes-backwards",
	 .stub = "QEMU 7.2, in a replay; rr",
	 .what = "it offers reverse steps: the guest is a replay, in which nothing may be changed or borrowed",
	 .where = "rsp/icount.c",
	 .sign = QUIRK_OFFERS,
	 .features = {"ReverseStep", "ReverseContinue"}},
	{.name = "idle-step",
	 .stub = "QEMU 7.2",
	 .what = "a step may end before it has executed anything, when the local APIC wants to be polled; it is "
		 "repeated",
	 .where = "relay/step.c",
	 .sign = QUIRK_SEEN},
	{.name = "endless-step",
	 .stub = "QEMU 7.2",
	 .what = "a step over `hlt` does not end, for interrupts are held off in it: it is interrupted",
	 .where = "relay/step.c",
	 .sign = QUIRK_SEEN},
	{.name = "few-slots",
	 .stub = "QEMU with KVM, Firecracker",
	 .what = "four hardware breakpoints; software ones are bytes in guest memory, which fail before the text is "
		 "mapped, and are lost where it is unpacked or patched later",
	 .where = "relay/probes.c",
	 .sign = QUIRK_SEEN},
	{.name = "breakpoint-as-watchpoint",
	 .stub = "QEMU 7.2 on kvm_pvm",
	 .what = "of a hardware breakpoint that was hit it may say `awatch`, with the breakpoint's address, where "
		 "nothing "
		 "is watched; nothing is borrowed after that",
	 .where = "relay/borrow.c",
	 .sign = QUIRK_SEEN},
	{.name = "not-in-place",
	 .stub = "gdbserver 13",
	 .what = "it does not step off its own breakpoints in place: they are taken out meanwhile",
	 .where = "relay/step.c",
	 .sign = QUIRK_SEEN},
	{.name = "crashes-without-thread",
	 .stub = "gdbserver 13",
	 .what = "asked for the description of a static program before it was made to choose a thread, it crashes: the "
		 "handshake asks for the stop first",
	 .where = "rsp/handshake.c",
	 .sign = QUIRK_ALWAYS},
	{.name = "keeps-interrupt",
	 .stub = "gdbserver 13",
	 .what = "an interrupt that crossed a stop stops the next resume",
	 .where = "relay/interrupt.c",
	 .sign = QUIRK_SEEN},
	{.name = "repeats-stop",
	 .stub = "qemu-x86_64 7.2",
	 .what = "it hears nothing while the program runs, and says a stop again that an interrupt crossed; that is "
		 "not "
		 "taken for the answer to a request",
	 .where = "rsp/stub.c",
	 .sign = QUIRK_SEEN},
	{.name = "deaf-in-one-piece",
	 .stub = "qemu-x86_64 since 8.1",
	 .what = "an interrupt that it reads in one piece with the packet that resumes makes it forget to tell of the "
		 "next "
		 "stop: it waits for that packet's acknowledgement, and some 20 ms",
	 .where = "relay/interrupt.c",
	 .sign = QUIRK_ALWAYS},
	{.name = "trap-for-interrupt",
	 .stub = "stubs of hypervisors",
	 .what = "an interrupt is answered with SIGTRAP",
	 .where = "relay/interrupt.c",
	 .sign = QUIRK_SEEN},
	{.name = "no-control-registers",
	 .stub = "Firecracker, VMware",
	 .what = "it fills in general registers alone, or tells control registers through `monitor`",
	 .where = "relay/guest_registers.c",
	 .sign = QUIRK_SEEN},
	{.name = "no-breakpoints",
	 .stub = "bhyve's first stub",
	 .what = "no breakpoints, and registers cannot be written",
	 .where = "relay/probes.c",
	 .sign = QUIRK_SEEN},
	{.name = "other-escape",
	 .stub = "VirtualBox's first port",
	 .what = "it escapes with `{` instead of `}`, and cannot take breakpoints out",
	 .where = "relay/probes.c",
	 .sign = QUIRK_SEEN},
	{.name = "no-interrupt",
	 .stub = "KGDB",
	 .what = "it takes no Ctrl-C, and `k` lets the kernel run on, unanswered",
	 .where = "relay/interrupt.c",
	 .sign = QUIRK_SEEN},
	{.id = QUIRK_NO_VCONT,
	 .name = "no-vcont",
	 .stub = "old stubs, KGDB, bhyve",
	 .what = "vCont is missing: `Hc`, `c` and `s` then",
	 .where = "relay/guest.c",
	 .sign = QUIRK_SEEN},
	{.name = "no-thread",
	 .stub = "old stubs",
	 .what = "its stops name no thread: `qC` is asked",
	 .where = "relay/guest.c",
	 .sign = QUIRK_SEEN},
	{.name = "no-vkill",
	 .stub = "KGDB, bhyve, old stubs",
	 .what = "vKill is answered with an empty packet, which is no kill; GDB then sends `k`",
	 .where = "relay/gdb_carry.c",
	 .sign = QUIRK_SEEN},
	{.name = "clings",
	 .stub = "bhyve",
	 .what = "it refuses `D`, or does not know it: the guest is let go otherwise",
	 .where = "relay/gdb_carry.c",
	 .sign = QUIRK_SEEN},
	{.name = "cannot-step",
	 .stub = "bhyve on AMD",
	 .what = "it refuses to single-step",
	 .where = "relay/step.c",
	 .sign = QUIRK_SEEN},
	{.name = "talks-while-running",
	 .stub = "QEMU, gdbserver",
	 .what = "`O` packets may come at any time",
	 .where = "rsp/stub.c",
	 .sign = QUIRK_ALWAYS},
};
const size_t quirk_count = ARRAY_SIZE(quirks);

const char *quirk_sign_name(enum quirk_sign sign)
{
	static const char *const names[] = {
		[QUIRK_ALWAYS] = "always",
		[QUIRK_OFFERS] = "offers",
		[QUIRK_LACKS] = "lacks",
		[QUIRK_SEEN] = "seen",
	};

	return names[sign];
}

static bool offers(const struct stub *stub, const char *feature)
{
	const char *value = stub_feature(stub, feature);

	return value && value[0] == '+';
}

static bool shows(const struct stub *stub, const struct quirk *quirk)
{
	bool is_offer = quirk->sign == QUIRK_OFFERS;

	for (size_t i = 0; i < ARRAY_SIZE(quirk->features) && quirk->features[i]; i++)
		if (offers(stub, quirk->features[i]) == is_offer)
			return true;
	return false;
}

void quirks_recognise(struct stub *stub)
{
	for (size_t i = 0; i < quirk_count; i++)
		if (shows(stub, &quirks[i]))
			quirks_note(stub, quirks[i].id);
}

void quirks_note(struct stub *stub, enum quirk_id id)
{
	stub->quirks |= 1u << id;
}

bool quirks_have(const struct stub *stub, enum quirk_id id)
{
	return stub->quirks & (1u << id);
}
