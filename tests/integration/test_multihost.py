"""Two hosts with two devices each give the losses of one host with four; a sharded batch is never gathered."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("multihost_training.py")


@pytest.fixture(scope="module")
def results(quick_children: dict[str, str]) -> list[dict[str, object]]:
    """Run one host and a pair of hosts in parallel, and return the output of each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # Each run sets its number of devices; proxies would intercept gloo's loopback connections.
    unset = {"XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"}
    env = {key: value for key, value in os.environ.items() if key not in unset} | quick_children
    runs = [
        subprocess.Popen(
            [sys.executable, SCRIPT, *host], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        for host in (("0", "1", "0"), ("0", "2", port), ("1", "2", port))
    ]
    try:
        outputs = [run.communicate(timeout=120) for run in runs]
    finally:
        for run in runs:
            run.kill()
    for run, (_, problems) in zip(runs, outputs, strict=True):
        assert run.returncode == 0, problems
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


@pytest.mark.thorough
def test_two_hosts_have_the_losses_of_one(results: list[dict[str, object]]) -> None:
    alone, first, second = results
    assert first["losses"] == second["losses"]
    assert first["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert len(set(alone["losses"])) == 6


def test_each_host_makes_its_own_examples_only(results: list[dict[str, object]]) -> None:
    assert [host["n_examples"] for host in results[1:]] == [4, 4]


def test_batches_on_eight_devices_are_never_gathered(results: list[dict[str, object]]) -> None:
    assert results[0]["reduces"]
    assert not results[0]["gathers"]
