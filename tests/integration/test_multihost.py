"""Two hosts with four devices each have the losses of one host with eight; a sharded batch is never gathered."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("multihost_training.py")
Result = dict[str, object]


def run_hosts(count: int) -> list[Result]:
    """Run a number of hosts in parallel, and return the output of each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Each run sets its number of devices; proxies would intercept gloo's loopback connections.
    unset = {"XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"}
    env = {key: value for key, value in os.environ.items() if key not in unset}
    commands = [[sys.executable, str(SCRIPT), str(host), str(count), str(port)] for host in range(count)]
    hosts = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        for command in commands
    ]
    try:
        outputs = [host.communicate(timeout=120) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    for host, (_, problems) in zip(hosts, outputs, strict=True):
        assert host.returncode == 0, problems
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


@pytest.fixture(scope="module")
def two_hosts() -> list[Result]:
    return run_hosts(2)


@pytest.mark.thorough
def test_two_hosts_have_the_losses_of_one(two_hosts: list[Result]) -> None:
    [one] = run_hosts(1)
    first, second = two_hosts
    assert first["losses"] == second["losses"]
    assert first["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert len(set(one["losses"])) == 6
    assert one["reduces"]
    assert not one["gathers"]


def test_each_host_makes_its_own_examples_only(two_hosts: list[Result]) -> None:
    assert [host["n_examples"] for host in two_hosts] == [4, 4]


def test_batches_on_eight_devices_are_never_gathered(two_hosts: list[Result]) -> None:
    for host in two_hosts:
        assert host["reduces"]
        assert not host["gathers"]
