"""A SLURM of its own on this machine, gone when the block ends: two nodes with a dummy GPU each."""

import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel"]
# Where steps of a job look for the configuration: the executor's job steps forget SLURM_CONF.
FOUND_BY_ALL = Path("/etc/slurm/slurm.conf")
NODES = ["node1", "node2"]
CONFIGURATION = """
ClusterName=restage
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
KillWait=10
InactiveLimit=0
SlurmdTimeout=30
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
SlurmdParameters=config_overrides
NodeName=DEFAULT CPUs=4 RealMemory=256000 Gres=gpu:1
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """What keeps such a cluster from being started here; empty if nothing does."""
    if os.geteuid() != 0:
        return "needs root, for munged and slurmd"
    if FOUND_BY_ALL.exists():
        return f"there is a SLURM on this machine already: {FOUND_BY_ALL}"
    absent = [program for program in PROGRAMS if not shutil.which(program)]
    return f"needs {', '.join(absent)}: apt-get install slurm-wlm munge" if absent else ""


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start the cluster in a folder and yield the environment in which SLURM's commands find it."""
    for name in ("state", *NODES):
        (folder / name).mkdir(parents=True)
    host, ports = socket.gethostname().split(".")[0], _free_ports(3)
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, ports=ports))
    devices = [folder / f"{node}.gpu" for node in NODES]
    for device in devices:  # of the kind of /dev/null
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    gres = [f"NodeName={n} Name=gpu File={d}\n" for n, d in zip(NODES, devices, strict=True)]
    (folder / "gres.conf").write_text("".join(gres))
    environment = os.environ | {"SLURM_CONF": str(configuration)}
    with ExitStack() as running:
        running.callback(_kill_jobs, folder)
        FOUND_BY_ALL.parent.mkdir(exist_ok=True)
        FOUND_BY_ALL.unlink(missing_ok=True)  # a dangling link, or nothing
        FOUND_BY_ALL.symlink_to(configuration)
        running.callback(FOUND_BY_ALL.unlink)

        def start(*command: str) -> None:
            running.enter_context(_running(command, environment, folder))

        start(*_munged(folder))
        _wait(lambda: (folder / "munge.socket").exists(), "munged")
        start("slurmctld", "-D", "-f", str(configuration))
        for node in NODES:
            start("slurmd", "-D", "-N", node, "-f", str(configuration))
        _wait(lambda: states(environment) == ["idle", "idle"], "the nodes")
        yield environment


def _munged(folder: Path) -> list[str]:
    """munged with a key, a socket and files of its own."""
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    folder.chmod(0o755)
    command = ["munged", "--foreground", "--force", f"--key-file={key}"]
    for option, name in (("socket", "socket"), ("pid-file", "pid"), ("log-file", "log")):
        command.append(f"--{option}={folder}/munge.{name}")
    return [*command, f"--seed-file={folder}/munge.seed"]


def states(environment: dict[str, str]) -> list[str]:
    """The nodes' states, in their order."""
    command = ["sinfo", "-h", "-N", "-o", "%T"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    return found.stdout.split()


def jobs(folder: Path) -> list[dict[str, str]]:
    """What SLURM recorded of each job that ended: JobId, JobState, NodeList, StartTime, ..."""
    lines = (folder / "jobs.txt").read_text().splitlines()
    return [
        dict(part.partition("=")[::2] for part in line.split() if "=" in part) for line in lines
    ]


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    """A daemon, which is stopped when the block ends."""
    with (folder / f"{Path(command[0]).name}.out").open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _kill_jobs(folder: Path) -> None:
    """End what jobs leave behind when their slurmd goes."""
    subprocess.run(["pkill", "-KILL", "-f", f"slurmstepd.*|{folder}/"], check=False)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come up within {seconds} s")
        time.sleep(0.2)
