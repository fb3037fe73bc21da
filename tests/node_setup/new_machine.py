"""A machine that is no node yet: a network and a name of its own, and its own /etc, GPUs and munge."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from patience import until_there
from slurm_cluster import SlurmCluster

PROGRAM = [sys.executable, "-c", "from winslow_dagster.cli import main; main()"]
# /etc and /dev are this machine's, but change for the new one only, which cannot write to /usr. Its GPU is AMD's.
SETUP = """\
set -eu
hostname {name}
mount -t tmpfs tmpfs {place}
mkdir -p {place}/etc {place}/etc-work {place}/dev {place}/dev-work {place}/class/drm {place}/gpu/drm/renderD128
mount --bind /usr /usr
mount -o remount,bind,ro /usr
mount -t overlay overlay -o lowerdir=/etc,upperdir={place}/etc,workdir={place}/etc-work /etc
mount -t overlay overlay -o lowerdir=/dev,upperdir={place}/dev,workdir={place}/dev-work /dev
for owned in /run/munge /var/lib/munge /var/log/munge; do
    mkdir -p $owned
    mount -t tmpfs tmpfs $owned
    chmod 755 $owned
    chown munge: $owned
done
[ ! -d /run/systemd ] || mount -t tmpfs tmpfs /run/systemd
echo 0x1002 >{place}/gpu/vendor
echo 0x744c >{place}/gpu/device
echo {vram_bytes} >{place}/gpu/mem_info_vram_total
mkdir -p {place}/class/drm/card0 /dev/dri
ln -s {place}/gpu {place}/class/drm/card0/device
[ -e /dev/dri/renderD128 ] || mknod /dev/dri/renderD128 c 1 7
mount --bind {place}/class /sys/class
rm -rf /etc/slurm /etc/munge/munge.key /etc/winslow
touch {ready}
exec sleep infinity
"""


@dataclass(frozen=True)
class NewMachine:
    """`pid` is a process in all of its namespaces."""

    name: str
    pid: int
    place: Path

    def winslow(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """A command of ours on it."""
        return self.run(*PROGRAM, *words, **settings)

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("WINSLOW_", "SLURM_"))}
        enter = ["nsenter", f"--target={self.pid}", "--net", "--uts", "--mount", "--wd=/"]
        # Files, because daemons that it starts keep them open.
        with (self.place / "out").open("w+") as out, (self.place / "err").open("w+") as err:
            done = subprocess.run(
                [*enter, *words], env=environment | settings, stdout=out, stderr=err, check=False, cwd="/"
            )
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, out.read(), err.read())


@contextmanager
def new_machine(cluster: SlurmCluster, name: str, place: Path) -> Iterator[NewMachine]:
    """It is on the network of the cluster, but does not belong to it. All of it is gone at the end."""
    cluster.plug(name)
    ready, private = place / "ready", place / "private"
    private.mkdir()
    script = SETUP.format(name=name, place=private, ready=ready, vram_bytes=24 << 30)
    words = ["unshare", "--uts", "--mount", "--propagation=private", "sh", "-c", script]
    space = cluster.network_of(name)
    with subprocess.Popen(["nsenter", f"--net={space}", *words]) as holder:
        try:
            until_there(ready)
            yield NewMachine(name, holder.pid, place)
        finally:
            cluster.power_off(name)
