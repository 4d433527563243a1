#!/usr/bin/env python3
"""Times what commands of Dockerfiles cost beyond themselves, and prints a Markdown table. Needs root.

    cargo build --release
    benches/run.py [--runs 7] [--only true,change,service] [--without docker,buildah] [--place DIR]
                   [--binary target/release/ocibake] [--isolation auto] [--starter "…"]

`true` is a step that runs `true` on a small base; `change` is one that changes a small file on a base of 1 GB; both are
the difference between builds of 41 and of one such step, by 40. `service` installs python3 and curl into Debian by apt,
makes a venv and copies an application: seconds of wall clock, beside those of the same commands by chroot. Bases are
cached by an earlier build, the steps are not. Tools that are not installed are left out; docker has to have a daemon that
runs. The commands run in turn, figures are medians. --starter is put in front of ocibake, such as "setpriv --reuid=1000".
"""

import argparse
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import time
from pathlib import Path

STEPS = 40
COMMANDS = [
    "apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-venv curl >/dev/null 2>&1",
    "python3 -m venv /venv",
]


def make_busybox(place):
    (place / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", place / "bin/busybox")
    for name in ["sh", "true"]:
        (place / "bin" / name).symlink_to("busybox")
    (place / "small").write_text("old\n")


def make_gigabyte(place):
    make_busybox(place)
    for number in range(1000):
        path = place / f"data/{number % 40}/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1_000_000))


def make_debian(place):
    """The release that this machine has, or the stable one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", release, place], check=True)


BASES = {"true": make_busybox, "change": make_gigabyte, "service": make_debian}


class Bench:
    def __init__(self, options):
        self.place = Path(options.place).resolve()
        self.place.mkdir(parents=True, exist_ok=True)
        binary = str(Path(options.binary).resolve())
        store = f"OCIBAKE_STORE={self.place / 'run-store'}"
        tools = {
            "ocibake": ["env", store, *shlex.split(options.starter), binary, "build", "--isolation", options.isolation, "--progress", "quiet", "-o", "type=cacheonly"],
            "buildah": ["buildah", "build", "--isolation=chroot", "--layers", "--quiet"],
            "docker": ["docker", "build", "--quiet"],
        }
        left_out = options.without.split(",")
        self.tools = {
            name: command
            for name, command in tools.items()
            if name not in left_out and (name == "ocibake" or shutil.which(name))
        }
        self.number = time.time_ns()

    def context(self, case):
        """A directory with the base of a case as a tar, made once."""
        context = self.place / f"run-{case}"
        if not (context / "base.tar").exists():
            shutil.rmtree(context, ignore_errors=True)
            files = context / "files"
            BASES[case](files)
            tar = ["tar", "--create", "--numeric-owner", "--sort=name", "--directory", files, "--file"]
            subprocess.run([*tar, context / "base.part", "."], check=True)
            (context / "app").mkdir()
            (context / "app/main.py").write_text("print('hello')\n")
            (context / ".dockerignore").write_text("files\n")
            os.rename(context / "base.part", context / "base.tar")
        return context

    def build(self, tool, context, steps):
        """Seconds that a build takes."""
        dockerfile = "FROM scratch\nADD base.tar /\n" + "".join(f"{step}\n" for step in steps)
        (context / "Dockerfile").write_text(dockerfile)
        begun = time.monotonic()
        subprocess.run([*self.tools[tool], context], check=True, stdout=subprocess.DEVNULL, cwd=context)
        return time.monotonic() - begun

    def new(self):
        """A word that no step has had."""
        self.number += 1
        return str(self.number)

    def step(self, case):
        return {
            "true": f'RUN ["/bin/true", "{self.new()}"]',
            "change": f"RUN echo {self.new()} > /small",
        }[case]

    def per_step(self, case, runs):
        """Milliseconds of one step, by tool."""
        context = self.context(case)
        figures = {tool: [] for tool in self.tools}
        for run in range(runs + 1):
            for tool in self.tools:
                few = self.build(tool, context, [self.step(case)])
                many = self.build(tool, context, [self.step(case) for _ in range(STEPS + 1)])
                if run:
                    figures[tool].append((many - few) / STEPS * 1000)
        return figures

    def service(self, runs):
        """Seconds, by tool; and those of the commands alone."""
        context = self.context("service")
        figures = {tool: [] for tool in ["the commands", *self.tools]}
        for run in range(runs + 1):
            alone = self.by_chroot(context)
            steps = ["ENV DEBIAN_FRONTEND=noninteractive"]
            times = {}
            for tool in self.tools:
                word = self.new()
                commands = [f"RUN {command} && : {word}" for command in COMMANDS]
                times[tool] = self.build(tool, context, [*steps, *commands, "COPY app /app"])
            if run:
                figures["the commands"].append(alone)
                for tool, seconds in times.items():
                    figures[tool].append(seconds)
        return figures

    def by_chroot(self, context):
        root = self.place / "run-root"
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "--archive", context / "files", root], check=True)
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        script = 'mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" && exec chroot "$1" sh -ec "$2"'
        command = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh", root, "\n".join(COMMANDS)]
        begun = time.monotonic()
        subprocess.run(command, check=True, env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
        return time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--only", default="true,change,service")
    parser.add_argument("--without", default="")
    parser.add_argument("--place", default="target/bench")
    parser.add_argument("--binary", default="target/release/ocibake")
    parser.add_argument("--isolation", default="auto")
    parser.add_argument("--starter", default="")
    options = parser.parse_args()
    bench = Bench(options)
    print("| case | tool | median | least |\n|---|---|---|---|")
    for case in options.only.split(","):
        unit = "s" if case == "service" else "ms"
        figures = bench.service(options.runs) if case == "service" else bench.per_step(case, options.runs)
        for tool, values in figures.items():
            print(f"| {case} | {tool} | {statistics.median(values):.2f} {unit} | {min(values):.2f} {unit} |", flush=True)


if __name__ == "__main__":
    main()
