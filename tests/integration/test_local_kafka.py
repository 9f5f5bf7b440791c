"""The broker that developers and tests start on their own machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from typer.testing import CliRunner

from tests.support.kafka import CACHE_DIR, prefix_for, required
from workers.errors import Misconfigured
from workers.local.commands import NOT_RUNNING, cli
from workers.local.kafka import EXTERNAL_VARIABLE, open_kafka
from workers.local.kafka_jvm import JvmKafka, _new_cluster_id, stop_broker
from workers.local.kafka_maven import find_java, resolve_classpath
from workers.local.kafka_process import Folder, Remembered
from workers.local.kafka_ready import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_jvm = pytest.mark.kafka


@pytest.fixture
def jvm(kafka: str, tmp_path: Path) -> Iterator[JvmKafka]:
    """A broker of its own, not started; stopped afterwards. ``kafka`` skips where none can run."""
    if EXTERNAL_VARIABLE in os.environ:
        pytest.skip(f"{EXTERNAL_VARIABLE} is set: this machine's own broker is not under test")
    broker = JvmKafka(tmp_path / "data", CACHE_DIR, os.environ)
    yield broker
    broker.stop()
    stop_broker(tmp_path / "data")


def fake_java(folder: Path, version: str) -> dict[str, str]:
    """An environment whose only program is a Java that tells ``version``."""
    java = folder / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n", encoding="utf-8")
    java.chmod(0o755)
    return {"PATH": str(folder)}


@needs_jvm
def test_records_survive_a_restart_on_the_same_port(jvm: JvmKafka, tmp_path: Path) -> None:
    """Who stops the broker and starts it again finds the records where they were."""
    jvm.start()
    first = jvm.bootstrap
    admin = AdminClient({"bootstrap.servers": first, "log_level": 0})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result()
    producer = Producer({"bootstrap.servers": first, "log_level": 0})
    producer.produce("kept", b"value")
    assert producer.flush(10) == 0
    jvm.stop()
    again = JvmKafka(tmp_path / "data", CACHE_DIR, os.environ)
    again.start()
    consumer = Consumer(
        {
            "bootstrap.servers": again.bootstrap,
            "group.id": "g",
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    consumer.subscribe(["kept"])
    message = consumer.poll(20)
    consumer.close()
    again.stop()
    assert again.bootstrap == first
    assert message is not None
    assert message.value() == b"value"


@needs_jvm
def test_a_second_start_finds_the_running_broker_and_leaves_it(jvm: JvmKafka, tmp_path: Path) -> None:
    """Two programs on one folder share one broker; the guest's stop does not take it from the host."""
    jvm.start()
    guest = JvmKafka(tmp_path / "data", CACHE_DIR, os.environ)
    guest.start()
    guest.stop()
    assert guest.bootstrap == jvm.bootstrap
    assert not guest.started_here
    assert jvm.alive()


@needs_jvm
def test_a_killed_broker_is_replaced(jvm: JvmKafka, tmp_path: Path) -> None:
    """A stale process id, left by a crash, stops nobody from starting again."""
    jvm.start()
    known = Folder.at(tmp_path / "data").remembered()
    assert known is not None
    assert known.pid is not None
    os.kill(known.pid, signal.SIGKILL)
    assert jvm._process is not None
    jvm._process.wait()
    again = JvmKafka(tmp_path / "data", CACHE_DIR, os.environ)
    again.start()
    assert again.started_here
    again.stop()


@needs_jvm
def test_the_command_stops_its_broker_at_ctrl_c(jvm: JvmKafka, tmp_path: Path) -> None:
    """A foreground start prints the address, and Ctrl-C takes the broker away with the command."""
    data = tmp_path / "data"
    command = [sys.executable, "-m", "workers.local.kafka", "start", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        address = next(line for line in started.stdout if line.startswith("export "))
        assert address.startswith(f"export {EXTERNAL_VARIABLE}=127.0.0.1:")
        assert Folder.at(data).running() is not None
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 0
    assert Folder.at(data).running() is None


@needs_jvm
def test_a_detached_broker_is_seen_and_stopped_by_command(jvm: JvmKafka, tmp_path: Path) -> None:
    """`start --detach` leaves the broker; `status` finds it, `topics apply` uses it, `stop` ends it."""
    data = ["--data", str(tmp_path / "data")]
    run = CliRunner()
    assert run.invoke(cli, ["kafka", "start", "--detach", *data]).exit_code == 0
    status = run.invoke(cli, ["kafka", "status", *data])
    assert (status.exit_code, "answers" in status.output) == (0, True)
    assert "+ scheduler: create" in run.invoke(cli, ["topics", "apply", "--partitions", "1", *data]).output
    assert "= scheduler: keep" in run.invoke(cli, ["topics", "plan", "--partitions", "1", *data]).output
    refused = run.invoke(cli, ["topics", "plan", "--partitions", "2", *data])
    assert (refused.exit_code, "partitions: 1 -> 2" in refused.output) == (1, True)
    assert "stopped the broker" in run.invoke(cli, ["kafka", "stop", *data]).output
    assert run.invoke(cli, ["kafka", "status", *data]).exit_code == NOT_RUNNING


@needs_jvm
def test_a_program_that_a_test_starts_reaches_the_session_broker(kafka: str, topic_prefix: str) -> None:
    """The broker is a process of its own: workers in other processes talk to it."""
    ask = "import sys; from workers.local.kafka_ready import cluster_id; print(cluster_id(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", ask, kafka], capture_output=True, text=True, check=True)
    assert done.stdout.strip() not in {"", "None"}


def test_a_named_cluster_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    """Whoever names a cluster never gets another one by surprise."""
    env = {EXTERNAL_VARIABLE: f"127.0.0.1:{free_port('127.0.0.1')}"}
    with (
        pytest.raises(Misconfigured, match="no broker answered there within 5 s"),
        open_kafka(tmp_path, env),
    ):
        pytest.fail("it must not open")


@needs_jvm
def test_a_named_cluster_is_used_and_left_alone(kafka: str, tmp_path: Path) -> None:
    """The cluster of the setting is used as it is; nothing is written on this machine."""
    with open_kafka(tmp_path / "data", {EXTERNAL_VARIABLE: kafka}) as opened:
        assert (opened.kind, opened.bootstrap) == ("external", kafka)
    assert not (tmp_path / "data").exists()
    assert AdminClient({"bootstrap.servers": kafka, "log_level": 0}).list_topics(timeout=10).brokers


def test_without_java_or_docker_a_mock_says_what_it_cannot_do(tmp_path: Path) -> None:
    """The last resort answers, and tells plainly what is not true of it."""
    with open_kafka(tmp_path, {"PATH": str(tmp_path)}, kinds=("jvm", "mock")) as opened:
        told = " ".join(opened.limitations)
        assert opened.kind == "mock"
        assert opened.bootstrap.startswith("127.0.0.1:")
    for weakness in ("hides no aborted records", "fences nobody", "keeps nothing"):
        assert weakness in told


def test_when_nothing_works_one_message_tells_what_to_install(tmp_path: Path) -> None:
    """A newcomer's machine without Java reads one message with every way out."""
    with (
        pytest.raises(
            Misconfigured, match=r"Install Java 17 or newer and Maven 3\.6 or newer, or Docker"
        ) as told,
        open_kafka(tmp_path, {"PATH": str(tmp_path)}, kinds=("jvm",)),
    ):
        pytest.fail("it must not open")
    assert "jvm: no Java found" in str(told.value)
    assert EXTERNAL_VARIABLE in str(told.value)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("11.0.2", "is Java 11: install Java 17"),
        ("1.8.0_402", "is Java 1: install Java 17"),
        ("", "told no version"),
    ],
)
def test_an_old_java_is_refused_by_version(tmp_path: Path, version: str, told: str) -> None:
    """The message names the Java that was found, so that a person sees which one to replace."""
    with pytest.raises(Misconfigured, match=told):
        find_java(fake_java(tmp_path, version))


def test_java_without_maven_is_told_before_anything_starts(tmp_path: Path) -> None:
    """The jars come from Maven; a machine without it reads so."""
    with pytest.raises(Misconfigured, match="no Maven found"):
        resolve_classpath(tmp_path / "cache", {"PATH": str(tmp_path)})


def test_a_process_id_that_another_program_took_is_not_our_broker(tmp_path: Path) -> None:
    """After a reboot the remembered id may be anybody's: it is neither used nor killed."""
    folder = Folder.at(tmp_path)
    folder.remember(Remembered(port=1, controller_port=2, cluster_id="x", pid=os.getpid()))
    assert folder.running() is None
    assert not stop_broker(tmp_path)


def test_a_damaged_memory_names_its_file(tmp_path: Path) -> None:
    """The person reads which file to delete."""
    folder = Folder.at(tmp_path)
    folder.pid_file.write_bytes(msgspec.json.encode({"port": "no number"}))
    with pytest.raises(Misconfigured, match=r"broker\.json is damaged .* delete it and start again"):
        folder.running()


def test_a_cluster_id_never_looks_like_an_option() -> None:
    """The format tool takes what begins with a dash for an option, and one random id in 64 would."""
    assert not [name for name in (_new_cluster_id() for _ in range(1_000)) if name.startswith("-")]


@pytest.mark.parametrize(
    ("env", "must"),
    [({}, False), ({"CI": "true"}, True), ({"BRIMFUL_TEST_REQUIRE": "1"}, True), ({"CI": "false"}, False)],
)
def test_a_missing_broker_fails_where_it_must(env: dict[str, str], must: bool) -> None:
    """In CI a test that cannot run is a failure, at home it is a skip with its reason."""
    assert required(env) is must


def test_no_two_tests_share_a_topic_prefix() -> None:
    """The same test twice, or two variants of one, never meet each other's records."""
    names = {prefix_for(test, "s") for test in ("t.py::test_a[1]", "t.py::test_a[2]", "t.py::test_a[1]")}
    assert len(names) == 3
    assert all(name.startswith("a-") and name.endswith(".") for name in names)
