"""Attempts on the kernel: rights that a worker should not have, and system calls that it has no use for."""

import ctypes
import os
import platform
import signal
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gridlight.workloads.escapes.attempt import Bait, Blocked, wait_to_be_killed

_NUMBERS: Final = {
    "x86_64": {"add_key": 248, "keyctl": 250, "perf_event_open": 298, "bpf": 321, "userfaultfd": 323, "clone": 56},
    "aarch64": {"add_key": 217, "keyctl": 219, "perf_event_open": 241, "bpf": 280, "userfaultfd": 282, "clone": 220},
}
_NUMBERS_OF_ALL: Final = {"io_uring_setup": 425}
_CLONE_NEWUSER: Final = 0x10000000
_PTRACE_SEIZE: Final = 0x4206
_SESSION_KEYRING: Final = -3
_BPF_ARRAY: Final = 2
_SOFTWARE_EVENT: Final = 1
_UNUSED_ID: Final = 12_345
_KERNEL_TREES: Final = ("/proc", "/sys/kernel/mm", "/sys/module/kernel", "/sys/power")

_libc: Final = ctypes.CDLL(None, use_errno=True)


def become_another(_bait: Bait) -> str:
    """Take another user's id."""
    os.setresuid(_UNUSED_ID, _UNUSED_ID, _UNUSED_ID)
    return f"the user is {os.getuid()} now"


def gain_by_execution(_bait: Bait) -> str:
    """Gain by executing a file that has its owner's rights."""
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text(encoding="ascii"):
        raise Blocked("no new privileges, ever")
    return "a file with the setuid bit gives its owner's rights"


def hold_capability(_bait: Bait) -> str:
    """Find a capability among those that are held, or could come back."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":\t")
        if name in {"CapPrm", "CapEff", "CapAmb"} and int(value, 16):
            return f"{name} is {value}"
    raise Blocked("none is held")


def change_root(_bait: Bait) -> str:
    """Make another folder the root."""
    os.chroot("/")
    return "the root can be changed"


def make_device(_bait: Bait) -> str:
    """Make a file that is the machine's first disk."""
    path = Path(_some_folder()) / "gridlight-makes-this"
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(254, 0))
    path.unlink()
    return f"{path} is a disk"


def change_kernel_setting(_bait: Bait) -> str:
    """Open any of the kernel's own files for writing; nothing is written."""
    tried = 0
    for tree in _KERNEL_TREES:
        for folder, folders, files in os.walk(tree):
            folders[:] = [name for name in folders if not name.isdigit() and name not in {"self", "thread-self"}]
            for name in files:
                path = Path(folder) / name
                with suppress(OSError):
                    mode = path.lstat().st_mode
                    if stat.S_ISREG(mode) and mode & 0o222:  # what an engine hides is /dev/null, which takes anything
                        tried += 1
                        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                        return f"{path} can be written"
    raise Blocked(f"none of {tried} can be written")


def leave_control_group(_bait: Bait) -> str:
    """Move into the control group that has no limits."""
    stopped = "no control group is seen"
    for path in ("/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/cgroup.procs"):
        try:
            Path(path).write_text("0", encoding="ascii")
        except OSError as error:
            stopped = f"{path}: {error.strerror}"
        else:
            return f"moved by {path}"
    raise Blocked(stopped)


def mount(_bait: Bait) -> str:
    """Mount a file system on a folder."""
    with _new_folder() as folder:
        _checked(_libc.mount(b"none", folder.encode(), b"tmpfs", 0, None))
        _libc.umount2(folder.encode(), 0)
    return "a file system was mounted"


def make_user_namespace(_bait: Bait) -> str:
    """Become root of a namespace, which opens most of the kernel to whoever is."""
    _checked(_libc.unshare(_CLONE_NEWUSER))
    return "in a user namespace of its own"


def clone_into_namespace(_bait: Bait) -> str:
    """The same by another call."""
    pid = _system_call("clone", _CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "a process runs in a user namespace of its own"


def join_namespace(_bait: Bait) -> str:
    """Join a namespace by its file."""
    descriptor = os.open("/proc/self/ns/uts", os.O_RDONLY)
    try:
        _checked(_libc.setns(descriptor, 0))
    finally:
        os.close(descriptor)
    return "a namespace was joined"


def trace(_bait: Bait) -> str:
    """Trace another process, as a debugger does."""
    pid = os.fork()
    if pid == 0:
        wait_to_be_killed()
    try:
        _checked(_libc.ptrace(_PTRACE_SEIZE, pid, None, None))
    finally:
        os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return "a process is traced"


def read_memory(_bait: Bait) -> str:
    """Read another process's memory by the call that is made for it."""
    held = ctypes.create_string_buffer(b"in memory")
    target = ctypes.create_string_buffer(len(held))
    local = (ctypes.c_void_p * 2)(ctypes.addressof(target), len(held))
    remote = (ctypes.c_void_p * 2)(ctypes.addressof(held), len(held))
    pid = os.fork()
    if pid == 0:
        wait_to_be_killed()
    try:
        count = _checked(_libc.process_vm_readv(pid, local, 1, remote, 1, 0))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return f"{count} bytes of another process"


def use_keyring(_bait: Bait) -> str:
    """Look for the keys that the kernel holds for a session; those of containers are not kept apart."""
    return f"keyring {_system_call('keyctl', 0, _SESSION_KEYRING, 1, 0, 0)}"


def add_key(_bait: Bait) -> str:
    """Give the kernel a key to hold."""
    key = _system_call("add_key", b"user", b"gridlight-escape", b"x", 1, _SESSION_KEYRING)
    return f"key {key}"


def load_kernel_program(_bait: Bait) -> str:
    """Make a map for programs that run in the kernel."""
    attributes = (ctypes.c_uint32 * 16)(_BPF_ARRAY, 4, 4, 1)
    os.close(_system_call("bpf", 0, ctypes.byref(attributes), ctypes.sizeof(attributes)))
    return "a map in the kernel"


def count_events(_bait: Bait) -> str:
    """Open a counter of the kernel's, which has been a way in more than once."""
    attributes = (ctypes.c_uint32 * 28)(_SOFTWARE_EVENT, 112)
    os.close(_system_call("perf_event_open", ctypes.byref(attributes), 0, -1, -1, 0))
    return "a counter of the kernel's"


def hold_page_faults(_bait: Bait) -> str:
    """Have the kernel wait for us in the midst of its work."""
    os.close(_system_call("userfaultfd", os.O_CLOEXEC | 1))
    return "page faults are ours"


def queue_system_calls(_bait: Bait) -> str:
    """Have the kernel make calls that no filter sees."""
    parameters = (ctypes.c_uint32 * 30)()
    os.close(_system_call("io_uring_setup", 1, ctypes.byref(parameters)))
    return "calls go past the filter"


def open_by_handle(_bait: Bait) -> str:
    """Name a file by its number on the disk, past every root."""
    handle = (ctypes.c_uint32 * 34)(128)
    mount_id = ctypes.c_int()
    _checked(_libc.name_to_handle_at(-100, b"/", ctypes.byref(handle), ctypes.byref(mount_id), 0))
    return "files can be opened by their number"


def _some_folder() -> str:
    """Where files can be made; the root where they can be made nowhere, so that an attempt is made all the same."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return "/"


@contextmanager
def _new_folder() -> Iterator[str]:
    """One of our own, or the root where none can be made."""
    try:
        folder = tempfile.mkdtemp()
    except OSError:
        yield "/"
        return
    try:
        yield folder
    finally:
        Path(folder).rmdir()


def _system_call(name: str, *arguments: object) -> int:
    number = _NUMBERS_OF_ALL.get(name) or _NUMBERS.get(platform.machine(), {}).get(name)
    if number is None:
        raise Blocked(f"the number of {name} on {platform.machine()} is not known")
    plain = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *plain))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
