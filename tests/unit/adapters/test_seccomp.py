"""The filter's table: what it says, and that podman's form and the compiled one say the same."""

import errno
import json
import platform
import struct
from typing import Any

import pytest

from gridlight.adapters.sandbox import seccomp
from gridlight.adapters.sandbox.port import EngineUnavailable

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x00000000
X86_64 = 0xC000003E
NUMBERS = {"read": 0, "socket": 41, "clone": 56, "ptrace": 101, "personality": 135, "keyctl": 250, "unshare": 272}
NUMBERS |= {"mount": 165, "execve": 59, "bpf": 321, "io_uring_setup": 425, "clone3": 435}
NEW_USER, NEW_NET, THREAD = 0x10000000, 0x40000000, 0x3D0F00


@pytest.fixture(scope="module")
def compiled() -> bytes:
    try:
        return seccomp.program()
    except EngineUnavailable as unavailable:
        pytest.skip(f"!!! NOT TESTED: {unavailable}")


def verdict(program: bytes, number: int, *arguments: int, architecture: int = X86_64) -> int:
    """What the kernel's machine says, by the few instructions that libseccomp uses."""
    call = struct.pack("<iIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    position, value = 0, 0
    while True:
        code, if_true, if_false, k = struct.unpack_from("<HBBI", program, position * 8)
        position += 1
        match code:
            case 0x20:
                value = struct.unpack_from("<I", call, k)[0]
            case 0x54:
                value &= k
            case 0x15:
                position += if_true if value == k else if_false
            case 0x25:
                position += if_true if value > k else if_false
            case 0x35:
                position += if_true if value >= k else if_false
            case 0x05:
                position += k
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(f"instruction {code:#x} is not known here")


def names(action: str) -> list[str]:
    syscalls: list[dict[str, Any]] = json.loads(seccomp.profile())["syscalls"]
    return [name for rule in syscalls if rule["action"] == action and "args" not in rule for name in rule["names"]]


def test_no_call_is_spoken_of_twice() -> None:
    spoken = [*names("SCMP_ACT_ALLOW"), *names("SCMP_ACT_ERRNO")]
    conditional = {rule.names[0] for rule in seccomp.rules() if rule.comparison is not None}

    assert len(spoken) == len(set(spoken))
    assert not conditional & set(spoken)


def test_every_name_is_one_that_the_kernel_has(compiled: bytes) -> None:
    library = seccomp._library()
    spoken = {name for rule in seccomp.rules() for name in rule.names}
    newer = {"quotactl_fd", "process_mrelease", "futex_waitv", "mount_setattr", "epoll_pwait2", "landlock_add_rule"}

    unknown = {name for name in spoken if library.seccomp_syscall_resolve_name(name.encode()) == -1}

    assert unknown <= newer | {"landlock_create_ruleset", "landlock_restrict_self"}
    assert compiled


def test_podman_is_told_to_fail_what_is_not_named() -> None:
    profile = json.loads(seccomp.profile())

    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["defaultErrnoRet"] == errno.ENOSYS
    assert profile["architectures"] == [seccomp.architecture()]
    assert {"unshare", "setns", "keyctl", "add_key", "ptrace", "mount", "bpf", "perf_event_open", "userfaultfd"} <= set(
        names("SCMP_ACT_ERRNO")
    )
    assert not {"clone3", "io_uring_setup", "io_uring_enter"} & {*names("SCMP_ACT_ALLOW"), *names("SCMP_ACT_ERRNO")}


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("read", (), ALLOW),
        ("execve", (), ALLOW),
        ("ptrace", (), ERRNO | errno.EPERM),
        ("mount", (), ERRNO | errno.EPERM),
        ("keyctl", (), ERRNO | errno.EPERM),
        ("bpf", (), ERRNO | errno.EPERM),
        ("unshare", (NEW_USER,), ERRNO | errno.EPERM),
        ("io_uring_setup", (), ERRNO | errno.ENOSYS),
        ("clone3", (), ERRNO | errno.ENOSYS),
        ("clone", (THREAD,), ALLOW),
        ("clone", (17,), ALLOW),
        ("clone", (NEW_USER | 17,), ERRNO | errno.ENOSYS),
        ("clone", (NEW_NET | THREAD,), ERRNO | errno.ENOSYS),
        ("socket", (1, 1, 0), ALLOW),
        ("socket", (2, 1, 0), ERRNO | errno.EAFNOSUPPORT),
        ("socket", (16, 3, 0), ERRNO | errno.EAFNOSUPPORT),
        ("socket", (1 | 1 << 32, 1, 0), ERRNO | errno.EAFNOSUPPORT),
        ("personality", (0,), ALLOW),
        ("personality", (0x0040000,), ERRNO | errno.ENOSYS),
    ],
)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers here are those of x86_64")
def test_the_compiled_filter_decides_as_the_table_says(
    compiled: bytes, name: str, arguments: tuple[int, ...], expected: int
) -> None:
    assert verdict(compiled, NUMBERS[name], *arguments) == expected


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers here are those of x86_64")
def test_calls_by_another_architectures_numbers_are_deadly(compiled: bytes) -> None:
    assert verdict(compiled, NUMBERS["read"], architecture=0x40000003) == KILL
    assert verdict(compiled, 0x40000000 | NUMBERS["read"]) in {KILL, ERRNO | errno.ENOSYS}


def test_a_machine_that_the_table_was_not_written_for_gets_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")

    with pytest.raises(EngineUnavailable, match="vax"):
        seccomp.architecture()
