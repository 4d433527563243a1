#!/usr/bin/env python3
"""Runs whole commands side by side on the same files and prints a Markdown table.

    cargo build --release
    benches/compare.py [--runs 5] [--place DIR] [--only mixed,small,single] [--without docker,buildah]
                       [--binary target/release/ocibake]

The corpora are made once, below DIR (default: target/bench): `mixed`, 1 GB of what this machine has installed (programs,
libraries, documentation, sources); `small`, 60,000 files of up to 4 KiB; `single`, one file of 200 MB. Tools that are
not installed are left out. Every command runs once to warm up, then RUNS times, the commands in turn; figures are
medians: seconds of wall clock and of CPU, the largest process's memory, the size of the compressed layer.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

MIXED_SOURCES = ["/usr/lib", "/usr/share", "/usr/bin", "/usr/include", str(Path.home() / ".cargo/registry/src")]
MIXED_SIZE = 1_000_000_000


def make_mixed(place):
    """Whole files in the order of their paths, a share of each source, until there is enough."""
    sources = [source for source in MIXED_SOURCES if os.path.isdir(source)]
    for source in sources:
        left = MIXED_SIZE // len(sources)
        for directory, directories, files in os.walk(source):
            directories.sort()
            for name in sorted(files):
                path = os.path.join(directory, name)
                if left <= 0 or os.path.islink(path) or not os.path.isfile(path):
                    continue
                left -= os.path.getsize(path)
                target = place / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def make_small(place):
    words = random.Random(1)
    vocabulary = [f"{words.getrandbits(40):x}" for _ in range(4000)]
    for number in range(60_000):
        target = place / f"{number % 97:02}" / f"{number % 89:02}" / f"{number}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(" ".join(words.choices(vocabulary, k=words.randrange(10, 380))))


def make_single(place):
    left = 200_000_000
    with open(place / "single.bin", "wb") as out:
        for path in sorted(Path("/usr/lib").rglob("*.so*")):
            if left > 0 and path.is_file() and not path.is_symlink():
                left -= out.write(path.read_bytes()[:left])


# What `crane append` does to a tar: Go's own gzip at its fastest level, and both digests, on one core.
GO_GZIP = """package main

import ("compress/gzip"; "crypto/sha256"; "io"; "os")

func main() {
	digest, blob := sha256.New(), sha256.New()
	writer, _ := gzip.NewWriterLevel(io.MultiWriter(os.Stdout, blob), gzip.BestSpeed)
	if _, err := io.Copy(io.MultiWriter(writer, digest), os.Stdin); err != nil || writer.Close() != nil {
		os.Exit(1)
	}
}
"""

CORPORA = {"mixed": make_mixed, "small": make_small, "single": make_single}


class Bench:
    def __init__(self, options):
        self.place = Path(options.place).resolve()
        self.binary = Path(options.binary).resolve()
        self.runs = options.runs
        self.without = options.without.split(",")
        self.scratch = self.place / "scratch"
        self.environment = dict(os.environ, OCIBAKE_STORE=str(self.scratch / "store"), LC_ALL="C")
        self.go_gzip = self.place / "go-gzip"
        if shutil.which("go"):
            self.place.mkdir(parents=True, exist_ok=True)
            source = self.place / "go-gzip.go"
            source.write_text(GO_GZIP)
            subprocess.run(["go", "build", "-o", self.go_gzip, source], check=True)

    def corpus(self, name):
        directory = self.place / name
        if not directory.exists():
            made = self.place / f"{name}.part"
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(parents=True)
            CORPORA[name](made)
            made.rename(directory)
        return directory

    def commands(self, corpus):
        """Name, shell command to prepare (not timed), shell command, shell command that prints the layer's size."""
        out, build = f"{self.scratch}/out", f"{self.binary} build --progress quiet --add {corpus}:/data"
        fresh = f"rm -rf {self.scratch}; mkdir -p {self.scratch}"
        largest = f"find {out} -type f -printf '%s\\n' | sort -n | tail -1"
        change = f"head -c 10000 /dev/urandom >{corpus}/changed; sleep 0.3"
        pipe = "tar -C {} -cf - . | {} | tee >(wc -c >{}) | sha256sum"

        def piped(packer):
            return pipe.format(corpus, packer, f"{self.scratch}/size")

        rows = [
            ("tar, gzip -6, sha256sum", "gzip", fresh, piped("gzip -6"), f"cat {self.scratch}/size"),
            ("tar, pigz -6, sha256sum", "pigz", fresh, piped("pigz -6"), f"cat {self.scratch}/size"),
            ("tar, Go's gzip level 1", "go", fresh, f"tar -C {corpus} -cf - . | {self.go_gzip} >{out}", f"stat -c %s {out}"),
            (
                "umoci insert",
                "umoci",
                f"{fresh}; umoci init --layout {out}; umoci new --image {out}:x",
                f"umoci insert --image {out}:x {corpus} /data",
                largest,
            ),
            (
                "buildah",
                "buildah",
                f"{fresh}; printf 'FROM scratch\\nCOPY . /data\\n' >{self.scratch}/Dockerfile",
                f"buildah build -q --no-cache -f {self.scratch}/Dockerfile -t x {corpus} "
                f"&& buildah push -q x oci:{out}:x",
                largest,
            ),
            (
                "docker build, not compressed",
                "docker",
                f"{fresh}; printf 'FROM scratch\\nCOPY . /data\\n' >{self.scratch}/Dockerfile",
                f"docker build -q --no-cache -f {self.scratch}/Dockerfile {corpus}",
                "echo 0",
            ),
        ]
        stored = largest.replace(out, f"{self.scratch}/store")
        for level in ["gzip:5", "gzip:1", "zstd"]:
            rows.append((f"ocibake {level}", None, fresh, f"{build} --compression {level}", stored))
        rows.append(("ocibake gzip:5, to a layout", None, fresh, f"{build} -o {out}/", largest))
        warm = f"{fresh}; {build} -o {out}/; rm -rf {out}"
        rows.append(("ocibake, nothing changed", None, warm, build, "echo 0"))
        rows.append(("ocibake, one file changed", None, f"{warm}; {change}", build, "echo 0"))
        return [row for row in rows if row[1] is None or self.has(row[1])]

    def has(self, tool):
        if tool in self.without:
            return False
        if tool == "docker":
            return subprocess.run(["docker", "info"], capture_output=True).returncode == 0
        return shutil.which(tool)

    def shell(self, command):
        command = ["bash", "-c", command]
        return subprocess.run(
            command, cwd=self.place, env=self.environment, check=True, capture_output=True, text=True
        )

    def timed(self, command):
        start = time.monotonic()
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.place,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            raise RuntimeError(f"failed: {command}")
        return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

    def table(self, corpus):
        directory = self.corpus(corpus)
        rows, figures, sizes = self.commands(directory), {}, {}
        for run in range(self.runs + 1):
            for name, _, prepare, command, size in rows:
                self.shell(prepare)
                figure = self.timed(command)
                sizes[name] = int(self.shell(size).stdout.strip() or 0)
                (directory / "changed").unlink(missing_ok=True)
                if run > 0:
                    figures.setdefault(name, []).append(figure)
        reference = statistics.median(figure[0] for figure in figures.get("tar, pigz -6, sha256sum", [(1, 1, 1)]))
        print(f"\n**{corpus}**\n\n| | wall s | of pigz's | CPU s | memory MiB | layer MB |\n|---|---:|---:|---:|---:|---:|")
        for name, *_ in rows:
            wall, cpu, memory = (statistics.median(column) for column in zip(*figures[name]))
            size = f"{sizes[name] / 1e6:.1f}" if sizes[name] else ""
            print(f"| {name} | {wall:.2f} | {wall / reference:.2f} | {cpu:.2f} | {memory:.0f} | {size} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--place", default="target/bench")
    parser.add_argument("--only", default=",".join(CORPORA))
    parser.add_argument("--without", default="")
    parser.add_argument("--binary", default="target/release/ocibake")
    options = parser.parse_args()
    bench = Bench(options)
    if not bench.binary.exists():
        sys.exit(f"there is no {bench.binary}: cargo build --release")
    for corpus in options.only.split(","):
        bench.table(corpus)
    shutil.rmtree(bench.scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
