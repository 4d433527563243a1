#!/usr/bin/env python3
"""Times machines that begin empty and share a cache in a registry, and prints a Markdown table. Needs root and busybox.

    cargo build --release
    benches/cache.py [--runs 3] [--seconds 30] [--place DIR] [--binary target/release/ocibake] [--dockerd "dockerd"]...
                     [--buildx "docker buildx"]

The project is ten commands that sleep SECONDS in all, each of which writes a file of 1 MB. It is built and pushed by a machine
that finds no cache and writes one, by a machine that finds that cache, and by one on which the last command is another. Each
machine is an empty store, for docker a new daemon, which is not waited for on the clock; --dockerd is as for bake.py, and its
BuildKit writes and reads its cache of `type=registry,mode=max`. Figures are medians: seconds of wall clock.
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from daemon import Daemon
from push import Registry

STEPS = 10


class Bench:
    def __init__(self, options):
        self.place = Path(options.place).resolve() / "cache"
        self.binary = Path(options.binary).resolve()
        self.buildx = shlex.split(options.buildx)
        self.pause = options.seconds / STEPS
        self.tools = {"ocibake": self.ocibake}
        for command in options.dockerd:
            version = subprocess.run(
                [*shlex.split(command), "--version"], check=True, capture_output=True, text=True
            ).stdout
            name = f"BuildKit of docker {version.split()[2].rstrip(',')}"
            self.tools[name] = lambda *asked, command=command: self.docker(shlex.split(command), *asked)

    def context(self, last):
        context = self.place / "context"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), context / "busybox")
        text = 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
        for number in range(STEPS):
            name = last if number == STEPS - 1 else f"file{number}"
            text += f"RUN sleep {self.pause} && head -c 1000000 /dev/urandom > /{name}\n"
        (context / "Dockerfile").write_text(text)
        return context

    def run(self, tool):
        """Seconds without a cache, with one, and with one and another last command."""
        shutil.rmtree(self.place, ignore_errors=True)
        figures = []
        with Registry(self.place / "registry") as registry:
            for last in ["last", "last", "other"]:
                machine = self.place / "machine"
                figures.append(self.tools[tool](machine, registry.address, self.context(last)))
                shutil.rmtree(machine, ignore_errors=True)
        return figures

    def flags(self, registry):
        cache = f"type=registry,ref={registry}/team/cache:main"
        return [f"--cache-from={cache}", f"--cache-to={cache},mode=max", f"--tag={registry}/team/app", "--push"]

    def ocibake(self, machine, registry, context):
        environment = dict(os.environ, HOME=str(machine), OCIBAKE_STORE=str(machine / "store"))
        machine.mkdir(parents=True)
        return timed([self.binary, "build", context, *self.flags(registry), "--progress=quiet"], environment)

    def docker(self, command, machine, registry, context):
        with Daemon(command, machine) as daemon:
            words = ["build", context, *self.flags(registry), "--network=host", "--progress=quiet"]
            return timed([*self.buildx, *words], daemon.environment)


def timed(command, environment):
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--place", default="target/bench")
    parser.add_argument("--binary", default="target/release/ocibake")
    parser.add_argument("--dockerd", action="append", default=[])
    parser.add_argument("--buildx", default="docker buildx")
    bench = Bench(parser.parse_args())
    runs = parser.parse_args().runs
    print("| tool | no cache yet | all of it known | another last command |\n|---|---:|---:|---:|")
    for tool in bench.tools:
        figures = zip(*(bench.run(tool) for _ in range(runs)))
        shown = " | ".join(f"{statistics.median(seconds):.2f} s" for seconds in figures)
        print(f"| {tool} | {shown} |")


if __name__ == "__main__":
    main()
