"""Hosts of a network of their own, as Linux's network namespaces: each can be cut off as if its cable were pulled."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NETWORK = "10.77.0"
"""Private, and seen by nothing outside the namespaces."""


class NoNamespacesError(Exception):
    """Why this machine has no network namespaces to give."""


@dataclass(frozen=True)
class NetworkHost:
    """A namespace with one network interface.

    Attributes:
      namespace: its name.
      address: its only one beside the loopback's.
      switch: the namespace where the other end of its cable is.
      port: that end.
    """

    namespace: str
    address: str
    switch: str
    port: str

    def command(self, *command: str) -> list[str]:
        """A command as it is run on this host."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def cut_off(self) -> None:
        """From now on nothing reaches it, and nobody is told."""
        _ip("-n", self.switch, "link", "set", self.port, "down")


@contextlib.contextmanager
def network_hosts(count: int) -> Iterator[Sequence[NetworkHost]]:
    """Makes hosts that reach each other and nothing else; at the end ends what runs on them, and removes them.

    Raises:
      NoNamespacesError: they cannot be made here.
    """
    if not shutil.which("ip"):
        raise NoNamespacesError("there is no `ip`; iproute2 has it.")
    switch = f"mosim-{os.getpid()}-switch"
    hosts = [
        NetworkHost(f"mosim-{os.getpid()}-{index}", f"{_NETWORK}.{index + 1}", switch, f"port{index}")
        for index in range(count)
    ]
    try:
        _make(switch, hosts)
        yield hosts
    finally:
        for host in hosts:
            _remove(host.namespace)
        _remove(switch)


def _make(switch: str, hosts: Sequence[NetworkHost]) -> None:
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "address", "add", f"{_NETWORK}.254/24", "dev", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for host in hosts:
            _ip("netns", "add", host.namespace)
            _ip("-n", switch, "link", "add", host.port, "type", "veth", "peer", "eth0", "netns", host.namespace)
            _ip("-n", switch, "link", "set", host.port, "master", "bridge", "up")
            _ip("-n", host.namespace, "link", "set", "lo", "up")
            _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", host.namespace, "link", "set", "eth0", "up")
            # It leads nowhere, but Ray takes for a host's address the one that would lead to the internet.
            _ip("-n", host.namespace, "route", "add", "default", "via", f"{_NETWORK}.254")
    except subprocess.CalledProcessError as error:
        raise NoNamespacesError(f"{' '.join(error.cmd)}: {error.stderr.strip()}") from None


def _remove(namespace: str) -> None:
    with contextlib.suppress(subprocess.CalledProcessError):  # It was never made.
        for process in _ip("netns", "pids", namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        _ip("netns", "delete", namespace)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout
