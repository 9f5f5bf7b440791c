"""What the files and the command line of the local broker hold: pure text from values."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = "127.0.0.1"

HEAP = "512m"
"""Start and limit of the broker's heap: a fixed size, because growing it costs pauses on a small machine."""

_SINGLE_BROKER = """\
# One broker that is its own controller. Everything that a cluster replicates has one copy here.
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# A topic exists because it was declared, never because somebody misspelled one.
auto.create.topics.enable=false
num.partitions=8

# Members of a group start at once: nobody else is about to join.
group.initial.rebalance.delay.ms=0

# Changelogs live from compaction. The cleaner's map takes its share of a small heap.
log.cleaner.enable=true
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=33554432

# Threads for a laptop; the defaults are for a server.
num.network.threads=2
num.io.threads=4
background.threads=2
"""

_LOG4J = """\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={log}
appender.file.filePattern={log}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d %p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
rootLogger.level=INFO
rootLogger.appenderRef.file.ref=file
"""


def server_properties(log_dir: Path, port: int, controller_port: int) -> str:
    """Text of ``server.properties`` for one broker on loopback. ``log_dir`` must be absolute."""
    return (
        f"{_SINGLE_BROKER}\n"
        f"listeners=PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}\n"
        f"advertised.listeners=PLAINTEXT://{LOOPBACK}:{port}\n"
        f"controller.quorum.voters=1@{LOOPBACK}:{controller_port}\n"
        f"log.dirs={_escaped(log_dir)}\n"
    )


def log4j_properties(log_file: Path) -> str:
    """Text of the logger's configuration: one file, rolled at 10 MB, two old ones kept."""
    return _LOG4J.format(log=_escaped(log_file))


def format_command(java: str, classpath: str, properties: Path, log4j: Path, cluster_id: str) -> list[str]:
    """Command that prepares an empty data folder; it leaves one that is already prepared alone."""
    tool = [
        "kafka.tools.StorageTool",
        "format",
        "--ignore-formatted",
        "-t",
        cluster_id,
        "-c",
        str(properties),
    ]
    return [java, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *_jvm(classpath, log4j), *tool]


def broker_command(java: str, classpath: str, properties: Path, log4j: Path) -> list[str]:
    """Command that runs the broker in the foreground. It ends by itself when its heap is full."""
    heap = [f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
    return [java, *heap, *_jvm(classpath, log4j), "kafka.Kafka", str(properties)]


def _jvm(classpath: str, log4j: Path) -> list[str]:
    return ["-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={log4j}", "-cp", classpath]


def _escaped(path: Path) -> str:
    """A path as a Java properties value: the backslash is an escape there."""
    return str(path).replace("\\", "\\\\")
