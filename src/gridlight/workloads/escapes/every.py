"""All escape attempts, by the guarantee that each of them tries to break."""

from collections.abc import Mapping
from typing import Any, Final

from gridlight.workloads.escapes import kernel, limits, surroundings
from gridlight.workloads.escapes.attempt import Attempt, Bait, in_child, outcome

ATTEMPTS: Final[Mapping[str, tuple[Attempt, ...]]] = {
    "network": (
        surroundings.open_socket,
        surroundings.reach_loopback,
        surroundings.ask_name_server,
        surroundings.reach_abstract_socket,
    ),
    "files": (surroundings.read_home, surroundings.write_home, surroundings.write_root),
    "others": (
        surroundings.read_another_task,
        surroundings.read_another_environment,
        surroundings.signal_another_task,
    ),
    "memory": (in_child(limits.take_memory, or_here=True), in_child(limits.unpack_bomb, or_here=True)),
    "cpu": (limits.burn_processors,),
    "processes": (limits.fork_bomb, limits.open_files),
    "storage": (in_child(limits.fill_storage, or_here=True), limits.dump_core),
    "privileges": (
        in_child(kernel.become_another),
        kernel.gain_by_execution,
        kernel.hold_capability,
        in_child(kernel.change_root),
        in_child(kernel.make_device),
        kernel.change_kernel_setting,
        in_child(kernel.leave_control_group),
    ),
    "system_calls": (
        in_child(kernel.mount),
        in_child(kernel.make_user_namespace),
        in_child(kernel.clone_into_namespace),
        in_child(kernel.join_namespace),
        in_child(kernel.trace),
        in_child(kernel.read_memory),
        in_child(kernel.use_keyring),
        in_child(kernel.add_key),
        kernel.load_kernel_program,
        kernel.count_events,
        kernel.hold_page_faults,
        kernel.queue_system_calls,
        kernel.open_by_handle,
    ),
    "environment": (surroundings.read_inherited_environment, surroundings.use_inherited_file),
}


def attempt_all(bait: Bait) -> dict[str, dict[str, dict[str, str]]]:
    """`outcomes` of what was blocked and `escapes` of what was not: guarantee, attempt, and what came of it."""
    outcomes: dict[str, dict[str, str]] = {}
    escapes: dict[str, dict[str, str]] = {}
    for guarantee, attempts in ATTEMPTS.items():
        for attempt in attempts:
            succeeded, said = outcome(attempt, bait)
            (escapes if succeeded else outcomes).setdefault(guarantee, {})[attempt.__name__] = said
    return {"outcomes": outcomes, "escapes": escapes}


def bait_of(parameters: Mapping[str, Any]) -> Bait:
    """As it came in a frame. TypeError where something is missing."""
    return Bait(**parameters)
