# SPDX-License-Identifier: MIT
"""QEMU's command lines and the guest's process, without GDB."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clockscope.live import qemu
from clockscope.base.errors import UserError
from clockscope.live.guest_process import Guest, check_program, free_port

QEMU = "qemu-system-x86_64"


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ([], None),
        (["-s"], "localhost:1234"),
        (["-gdb", "tcp::4321"], "localhost:4321"),
        (["--gdb", "tcp:10.0.0.1:99,server=on"], "10.0.0.1:99"),
        (["-gdb", "unix:/run/x,server=on,wait=off"], "/run/x"),
    ],
)
def test_the_stub_that_a_command_asks_for(words: list[str], address: str | None) -> None:
    assert qemu.stub_address([QEMU, *words, "-m", "64"]) == address


def test_a_stub_that_is_not_understood() -> None:
    with pytest.raises(UserError, match="-gdb pty: not understood"):
        qemu.stub_address([QEMU, "-gdb", "pty"])


@pytest.mark.parametrize(
    ("words", "kernel", "boots"),
    [
        ([], None, False),
        (["-m", "512", "-nographic"], None, False),
        (["-kernel", "bzImage"], "bzImage", False),
        (["--kernel", "bzImage"], "bzImage", False),
        (["-M", "q35,kernel=bzImage,usb=off"], "bzImage", False),
        (["-hda", "disk"], None, True),
        (["-m", "512", "disk.img"], None, True),
        (["-drive", "file=disk,if=virtio"], None, True),
        (["-netdev", "user,id=n"], None, True),
    ],
)
def test_what_a_machine_boots(words: list[str], kernel: str | None, boots: bool) -> None:
    assert qemu.kernel([QEMU, *words]) == kernel
    assert qemu.may_boot([QEMU, *words]) is boots


def test_what_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, said in (
        (str(tmp_path), "a directory"),
        (str(tmp_path / "file"), "not executable"),
        ("nosuch-x", "no such"),
    ):
        with pytest.raises(UserError, match=said):
            check_program(name)
    check_program(sys.executable)


def test_a_private_stub_is_added() -> None:
    assert qemu.with_private_stub([QEMU, "-m", "64"], "/p/gdb") == [
        QEMU, "-m", "64", "-S", "-gdb", "unix:/p/gdb,server=on,wait=off",
    ]  # fmt: skip
    assert qemu.stopped([QEMU, "-S"]).count("-S") == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["firecracker"], "needs QEMU"),
        ([QEMU, "-smp", "2"], "one processor"),
        ([QEMU, "-smp", "cpus=4,cores=2"], "one processor"),
        ([QEMU, "-enable-kvm"], "under KVM"),
        ([QEMU, "--accel", "kvm"], "under KVM"),
        ([QEMU, "-machine", "q35,accel=kvm"], "under KVM"),
        ([QEMU, "-icount", "shift=5,rr=record,rrfile=f"], "leave rr= out"),
    ],
)
def test_what_cannot_be_replayed(command: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        qemu.check_replayable(command)


def test_record_and_replay_differ_in_the_mode_and_the_written_files_only() -> None:
    command = [QEMU, "-serial", "file:a.log", "-chardev", "file,id=c,path=b.log", "-smp", "1"]
    qemu.check_replayable(command)
    recorded, replayed = qemu.recorded(command, "/f"), qemu.replayed(command, "/f")
    assert recorded == [*command, "-icount", "shift=7,rr=record,rrfile=/f"]
    assert replayed == [
        QEMU, "-serial", "file:a.log.replay", "-chardev", "file,id=c,path=b.log.replay", "-smp", "1",
        "-icount", "shift=7,rr=replay,rrfile=/f",
    ]  # fmt: skip
    assert qemu.written_files(command) == ["a.log", "b.log"]


def test_the_users_icount_is_kept() -> None:
    command = [QEMU, "-icount", "shift=9,sleep=off", "-m", "64"]
    assert qemu.recorded(command, "f")[2] == "shift=9,sleep=off,rr=record,rrfile=f"
    assert qemu.replay_shift(command) == 9
    assert qemu.replay_shift([QEMU]) == 7


def test_a_guest_is_private_and_ends() -> None:
    guest = Guest([sys.executable, "-c", "import time; time.sleep(100)"])
    assert stat.S_IMODE(os.stat(guest.directory).st_mode) == 0o700
    guest.start(guest.command)
    assert guest.running and guest.ending() == ""
    guest.close()
    assert not os.path.exists(guest.directory)
    assert guest.ending().endswith("killed by SIGTERM")


def test_how_a_guest_ended() -> None:
    guest = Guest([sys.executable, "-c", "import sys; print('no such machine', file=sys.stderr); sys.exit(3)"])
    guest.start(guest.command)
    guest.settle()
    assert guest.ending().endswith("ended: exit status 3: no such machine")
    guest.close()


def test_no_such_program() -> None:
    guest = Guest(["qemu-system-vax"])
    with pytest.raises(UserError, match="qemu-system-vax: no such program"):
        guest.start(guest.command)
    guest.close()


def test_a_guest_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import sys, os; from clockscope.live.guest_process import Guest\n"
        "guest = Guest(['sleep', '300']); guest.start(guest.command); child = guest._process.pid\n"
        "while open(f'/proc/{child}/comm').read() != 'sleep\\n': pass\n"
        "print(child, flush=True); os.kill(os.getpid(), 9)\n"
    )
    plugin = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": plugin}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, timeout=60)
    child = int(done.stdout)
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{child}"):
        assert time.monotonic() < deadline, "the guest lives on"
        time.sleep(0.05)


def test_free_ports_are_free() -> None:
    assert 1024 <= free_port() < 65536


@pytest.mark.parametrize(
    ("icount", "jumps"),
    [
        ("shift=7,sleep=off", True),
        ("7,sleep=no", True),
        ("shift=7", False),
        ("shift=7,sleep=on", False),
        ("shift=7,sleep=off,rr=replay,rrfile=x", False),
    ],
)
def test_a_guest_whose_clocks_jump_at_stops_is_told(icount: str, jumps: bool) -> None:
    assert qemu.jumps_at_stops([QEMU, "-icount", icount]) is jumps
    assert not qemu.jumps_at_stops([QEMU])
