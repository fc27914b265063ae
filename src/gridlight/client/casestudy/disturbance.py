"""Kills one node's process and freezes another's midway through a case study, and wakes the frozen one again."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from gridlight.client.errors import BadInput
from gridlight.client.network_file import NetworkFile, NetworkProcess, read_network_file
from gridlight.messages.ids import NodeId


class Disturbance:
    """Chooses a node to kill and one to freeze. `wake` must be called at the end, whatever happened."""

    def __init__(self, network_path: Path, now_ms: Callable[[], int]) -> None:
        self._network_path = network_path
        self._now_ms = now_ms
        network = read_network_file(network_path)
        nodes = list(network.agents())
        if len(nodes) < 3:
            raise BadInput(
                f"{network_path} lists {len(nodes)} agents; one is to be killed and one frozen",
                "start a network with `gridlight up --nodes 7`, or leave out --kill",
            )
        self.killed: NodeId = nodes[len(nodes) // 3]
        self.frozen: NodeId = nodes[2 * len(nodes) // 3]
        self.struck_ms: int | None = None
        self.woken_ms: int | None = None
        self._frozen_process: psutil.Process | None = None

    def strike(self) -> None:
        """SIGKILL the one, SIGSTOP the other, at once. The file is read again: a restart gives a new process id."""
        network = read_network_file(self._network_path)
        doomed = agent_process(network, self.killed)
        frozen = agent_process(network, self.frozen)
        self._frozen_process = frozen
        frozen.send_signal(signal.SIGSTOP)
        doomed.send_signal(signal.SIGKILL)
        self.struck_ms = self._now_ms()

    def wake(self) -> None:
        """SIGCONT the frozen one. May be called at any time, and twice."""
        if self._frozen_process is None:
            return
        frozen, self._frozen_process = self._frozen_process, None
        # psutil refuses to signal a process id that has been given to another program since.
        with suppress(psutil.NoSuchProcess):
            frozen.send_signal(signal.SIGCONT)
        self.woken_ms = self._now_ms()


def agent_process(network: NetworkFile, node_id: NodeId) -> psutil.Process:
    """The process of a node's agent; BadInput where that process id is no longer an agent of this network."""
    listed: NetworkProcess | None = network.agents().get(node_id)
    if listed is None:
        raise BadInput(f"the network file no longer lists node {node_id}", "is the network still running?")
    try:
        process = psutil.Process(listed.pid)
        command = process.cmdline()
    except psutil.Error as error:
        raise BadInput(f"process {listed.pid} of node {node_id} is gone", "is the network still running?") from error
    # A stale file may name a process id that now belongs to any program of this user: never signal that.
    is_ours = process.uids().real == os.getuid() and "gridlight" in " ".join(command)
    if not is_ours or (listed.data is not None and listed.data not in command):
        raise BadInput(
            f"process {listed.pid} is not the agent of node {node_id} ({' '.join(command)[:80]})",
            "the network file is stale: start the network again",
        )
    return process
