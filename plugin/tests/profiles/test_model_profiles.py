# SPDX-License-Identifier: MIT
"""The profiles of NetBSD and FreeBSD: that they fit their kernels, and say where each name and offset is from."""

import re
from pathlib import Path

import pytest
from clockscope.kernel.elffile import ElfFile
from clockscope.profiles import profile
from clockscope.profiles.profile import Profile, Rule
from model import model

BSDS = ["netbsd", "freebsd"]

# What the model kernels follow; the other names in a profile are of older or newer versions.
OTHER_VERSIONS = {"lapic_initclocks", "tsc_freq_cpuid_vm", "init_TSC"}
NOT_MODELLED = {"tc_gonebad", "tc_detach", "xen_initclocks", "vpanic"}


def header_of(found: Profile) -> str:
    """The comment at the head of the file, its continuation lines joined."""
    lines = Path(found.path).read_text().split('\nname = "')[0].splitlines()
    return " ".join(line.removeprefix("#").strip() for line in lines)


def expressions_of(rule: Rule) -> str:
    captured = (expression for capture in rule.captures for expression in capture.expressions)
    return " ".join([*rule.when, *captured, *(expression for _, expression in rule.saved)])


@pytest.mark.parametrize("name", BSDS)
def test_each_name_has_its_source(name: str) -> None:
    found = profile.load(name)
    header = header_of(found)
    variables = {
        word
        for rule in found.rules
        for word in re.findall(r"&(\w+)", expressions_of(rule))
        if word != "hz"  # sys/kern/param.c or subr_param.c, since ever
    }
    for needed in {function for rule in found.rules for function in rule.functions} | variables:
        assert re.search(rf"\b{needed}\b", header), f"{needed} stands in {found.path} without its source"


@pytest.mark.parametrize("name", BSDS)
def test_each_offset_has_its_source(name: str) -> None:
    found = profile.load(name)
    declared = set(re.findall(r"\+(\d+)", header_of(found)))
    text = " ".join(expressions_of(rule) for rule in found.rules)
    used = set(re.findall(r"\(\$(?:rdi|saved_tc) \+ (\d+)\)", text)) | set(re.findall(r"&timecounter \+ (\d+)\)", text))
    assert used
    # tc_flags is told as what follows the quality, an int.
    assert used - {"44"} <= declared


@pytest.mark.parametrize("name", BSDS)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_model_is_recognised_and_has_what_is_looked_for(name: str, compiler: str) -> None:
    elf = ElfFile(str(model(name, compiler=compiler).vmlinux))
    found = profile.recognise(elf)
    assert found is not None and found.name == name
    wanted = {function for rule in found.rules for function in rule.functions} - OTHER_VERSIONS - NOT_MODELLED
    missing = {function for function in wanted if not elf.functions(function)}
    # What a compiler inlines has no symbol; that a profile then says so is its business, not the model's.
    assert missing <= {"tsc_freq_cpuid", "start_TSC", "et_init"}


def test_the_release_is_read_from_the_banner() -> None:
    netbsd, freebsd = (profile.load(name) for name in BSDS)
    assert netbsd.release_of("NetBSD 10.1 (GENERIC) #0: Mon Dec 16 13:08:11 UTC 2024") == "10.1"
    assert freebsd.release_of("FreeBSD 14.2-RELEASE releng/14.2-n269506-c8918d6c7412 GENERIC") == "14.2-RELEASE"


def test_the_message_of_the_day_is_no_banner() -> None:
    log = profile.load("freebsd").log
    assert log is not None
    for banner in (
        "FreeBSD 14.2-RELEASE releng/14.2-n269506-c8918d6c7412 GENERIC amd64",
        "FreeBSD 9.1-RELEASE #0 r243825: Tue Dec  4 09:23:10 UTC 2012",
        'FreeBSD 14.2-RELEASE (CLOCKSCOPE-MODEL): model guest "freebsd"',
    ):
        assert log.banner.search(banner)
    for motd in (
        "FreeBSD 9.1-RELEASE (GENERIC) #0 r243825: Tue Dec  4 09:23:10 UTC 2012",
        "FreeBSD 14.2-RELEASE (GENERIC) releng/14.2-n269506-c8918d6c7412",
        "FreeBSD 14.2-RELEASE (GENERIC)",
    ):
        assert not log.banner.search(motd)
