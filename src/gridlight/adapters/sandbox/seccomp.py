"""Our own filter of system calls: one table, as JSON for podman and compiled by libseccomp for everything else."""

import ctypes
import errno
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gridlight.adapters.sandbox.port import EngineUnavailable

ARCHITECTURES: Final = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
"""Where the table was written for; elsewhere arguments may lie in other places."""

_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_COMPARISONS: Final = {"SCMP_CMP_NE": 1, "SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}
_OPTIMIZE: Final = 8
_AS_BINARY_TREE: Final = 2


class Condition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call that is allowed for one value of one argument."""

    name: str
    argument: int
    value: int
    mask: int | None = None
    otherwise: str | None = None
    """The error for any other value, by name."""
    why: str


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """seccomp.toml."""

    refused: str
    allowed: str
    where: list[Condition]


class Comparison(Struct, frozen=True, kw_only=True):
    """Of one argument, as both podman and libseccomp know it."""

    index: int
    value: int
    value_two: int
    op: str


class Rule(Struct, frozen=True, kw_only=True):
    """What happens to some calls: allowed, or an error."""

    names: tuple[str, ...]
    error: int = 0
    comparison: Comparison | None = None


@cache
def rules() -> tuple[Rule, ...]:
    """The table's; a call that none speaks of fails with ENOSYS."""
    table = msgspec.toml.decode(Path(__file__).with_suffix(".toml").read_bytes(), type=Table)
    return (
        Rule(names=tuple(table.refused.split()), error=errno.EPERM),
        Rule(names=tuple(table.allowed.split())),
        *(rule for condition in table.where for rule in _conditional(condition)),
    )


def _conditional(condition: Condition) -> list[Rule]:
    names, index, value = (condition.name,), condition.argument, condition.value
    if condition.mask is not None:
        masked = Comparison(index=index, value=condition.mask, value_two=value, op="SCMP_CMP_MASKED_EQ")
        return [Rule(names=names, comparison=masked)]
    allowed = Rule(names=names, comparison=Comparison(index=index, value=value, value_two=0, op="SCMP_CMP_EQ"))
    if condition.otherwise is None:
        return [allowed]
    other = Comparison(index=index, value=value, value_two=0, op="SCMP_CMP_NE")
    return [allowed, Rule(names=names, error=getattr(errno, condition.otherwise), comparison=other)]


def architecture() -> str:
    """This machine's, as libseccomp names it. EngineUnavailable where the table was not written for it."""
    found = ARCHITECTURES.get(platform.machine())
    if found is None:
        raise EngineUnavailable(f"there is no filter of system calls for {platform.machine()} yet")
    return found


def profile() -> bytes:
    """As podman's `--security-opt seccomp=` reads it."""
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "defaultAction": "SCMP_ACT_ERRNO",
                "defaultErrnoRet": errno.ENOSYS,
                "architectures": [architecture()],
                "syscalls": [_for_podman(rule) for rule in rules()],
            }
        )
    )


def _for_podman(rule: Rule) -> dict[str, Any]:
    said: dict[str, Any] = {"names": rule.names, "action": "SCMP_ACT_ALLOW"}
    if rule.error:
        said |= {"action": "SCMP_ACT_ERRNO", "errnoRet": rule.error}
    if rule.comparison is not None:
        one = rule.comparison
        said["args"] = [{"index": one.index, "value": one.value, "valueTwo": one.value_two, "op": one.op}]
    return said


class _Argument(ctypes.Structure):
    """libseccomp's scmp_arg_cmp."""

    _fields_ = (
        ("index", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("value_two", ctypes.c_uint64),
    )


@cache
def program() -> bytes:
    """The compiled filter: instructions of the kernel's own little machine. EngineUnavailable without libseccomp."""
    architecture()
    library = _library()
    filter_ = library.seccomp_init(_ERRNO | errno.ENOSYS)
    if not filter_:
        raise EngineUnavailable("libseccomp makes no filter: is there memory?")
    try:
        _checked(library.seccomp_attr_set(filter_, _OPTIMIZE, _AS_BINARY_TREE), "to be searched as a tree")
        for rule in rules():
            for name in rule.names:
                _add(library, filter_, rule, name)
        return _exported(library, filter_)
    finally:
        library.seccomp_release(filter_)


def _add(library: ctypes.CDLL, filter_: int, rule: Rule, name: str) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number < 0:
        return  # another architecture's, or newer than this library: it does not exist for a worker then
    action = _ERRNO | rule.error if rule.error else _ALLOW
    one = rule.comparison
    arguments = [] if one is None else [_Argument(one.index, _COMPARISONS[one.op], one.value, one.value_two)]
    array = (_Argument * len(arguments))(*arguments)
    _checked(library.seccomp_rule_add_array(filter_, action, number, len(arguments), array), f"a rule for {name}")


def _exported(library: ctypes.CDLL, filter_: int) -> bytes:
    descriptor = os.memfd_create("seccomp")
    try:
        _checked(library.seccomp_export_bpf(filter_, descriptor), "to be exported")
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise EngineUnavailable(f"{error}: install libseccomp (apt-get install libseccomp2)") from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Argument),
    )
    return library


def _checked(status: int, what: str) -> None:
    if status < 0:
        raise EngineUnavailable(f"libseccomp refuses {what}: {os.strerror(-status)}")
