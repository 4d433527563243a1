//! What Dockerfiles are full of: packages, users, compilers, and what is copied out of the stages that had them. These take
//! a while and need Debian's mirror, so only when asked for: `cargo test --release --test suite -- --ignored real_work`.

use std::fs::{self, File};
use std::path::Path;

use tempfile::TempDir;

use super::namespace::{BAKER, Bakery};
use crate::support::container::{Bundle, require_runtime};
use crate::support::debian::debian;
use crate::support::listing::Listing;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{require, run};
use crate::support::tree::Tree;

const DOCKERFILE: &str = r#"
FROM scratch AS debian
ADD debian.tar /

FROM debian AS python
WORKDIR /src
COPY wheels .
RUN python3 -m venv /venv && /venv/bin/pip install --no-index --find-links=. -r requirements.txt

FROM debian AS go
COPY toolchain /usr/lib/go
# Without /proc it cannot find out where it lies.
ENV GOROOT=/usr/lib/go
WORKDIR /src
COPY go .
RUN --mount=type=cache,target=/root/.cache/go-build /usr/lib/go/bin/go build -trimpath -o /out/go-hello .

FROM debian AS c
COPY c /src
RUN mkdir /out && gcc -O2 -o /out/c-hello /src/main.c && setcap cap_net_bind_service=+ep /out/c-hello

FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*
RUN useradd -m -u 1000 app && mkdir /data && touch /data/a && chown -R app:app /data && su app -c 'touch /home/app/f'
COPY --from=python /venv /venv
COPY --from=go /out /out
COPY --from=c /out /out
USER 1000
WORKDIR /app
RUN /venv/bin/python -c 'import greet; print(greet.WORD)' > /data/said && /out/go-hello >> /data/said && /out/c-hello >> /data/said
ENTRYPOINT ["/bin/sh"]
"#;

/// What has the time in it, or names of its own, each time it is made.
const VARIES: [&str; 7] = [
    "var/log/apt/history.log",
    "var/log/apt/term.log",
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/cache/ldconfig/aux-cache",
];

/// None where it cannot be built.
fn context() -> Option<TempDir> {
    let debian = debian()?;
    if !require("go") || !require("python3") {
        return None;
    }
    let context = Tree::new()
        .file("Dockerfile", DOCKERFILE)
        .file("wheels/requirements.txt", "greet==1.0\n")
        .file("go/go.mod", "module example/hello\n\ngo 1.18\n")
        .file("go/main.go", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"go\") }\n")
        .file("c/main.c", "#include <stdio.h>\nint main(void) { puts(\"c\"); return 0; }\n")
        .plant();
    fs::hard_link(debian, context.path().join("debian.tar"))
        .or_else(|_| fs::copy(debian, context.path().join("debian.tar")).map(drop))
        .unwrap();
    make_wheel(&context.path().join("wheels"));
    // Parts of it are links to elsewhere.
    let toolchain = run("go", ["env", "GOROOT"]);
    run("cp", ["--recursive", "--dereference", toolchain.trim(), context.path().join("toolchain").to_str().unwrap()]);
    Some(context)
}

/// A package of one line, as pip takes it.
fn make_wheel(place: &Path) {
    const SCRIPT: &str = r#"
import sys, zipfile
files = {
    "greet/__init__.py": "WORD = 'python'\n",
    "greet-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n",
    "greet-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
record = "greet-1.0.dist-info/RECORD"
with zipfile.ZipFile(sys.argv[1] + "/greet-1.0-py3-none-any.whl", "w") as wheel:
    for path, content in files.items():
        wheel.writestr(path, content)
    wheel.writestr(record, "".join(path + ",,\n" for path in [*files, record]))
"#;
    run("python3", ["-c", SCRIPT, place.to_str().unwrap()]);
}

/// What the image has in the end, but for what varies.
fn system(tar: &Path) -> Listing {
    let mut listing = Listing::of_tar(File::open(tar).unwrap());
    fs::remove_file(tar).unwrap();
    listing.0.retain(|path, _| !VARIES.iter().any(|varies| varies.as_bytes() == path));
    listing
}

#[test]
#[ignore = "takes minutes, and Debian's mirror"]
fn every_isolation_makes_the_same_system() {
    let Some(context) = context() else { return };
    let Some(bakery) = Bakery::new(Tree::new()) else { return };
    run("chmod", ["--recursive", "a+rX", context.path().to_str().unwrap()]);
    let tar = bakery.home("files.tar");
    let output = format!("type=tar,dest={}", tar.display());
    let build = ["build", context.path().to_str().unwrap(), "--platform=linux/amd64", "-o", &output];
    let with = |isolation| [&build[..], &[isolation]].concat();
    let by_root = Program::new();
    by_root.run(build).success();
    let expected = system(&tar);
    drop(by_root);
    for isolation in ["--isolation=ids", "--isolation=single-id"] {
        eprintln!("{isolation}");
        bakery.by(BAKER, &[], &with(isolation)).success();
        system(&tar).assert_is(&expected);
        bakery.by(BAKER, &[], &["cache", "prune", "--all"]).success();
    }
    eprintln!("--isolation=chroot");
    let without = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];
    Outcome::of(&mut Program::new().command_under(&without, with("--isolation=chroot"))).success();
    system(&tar).assert_is(&expected);
}

#[test]
#[ignore = "takes minutes, and Debian's mirror"]
fn the_image_runs() {
    let Some(context) = context() else { return };
    if !require_runtime() {
        return;
    }
    let archive = context.path().join("image.tar");
    let words = ["build", context.path().to_str().unwrap(), "--platform=linux/amd64", "-t", "it", "-o"];
    Program::new().run([&words[..], &[archive.to_str().unwrap()]].concat()).success();
    let container = Bundle::unpack(&format!("oci-archive:{}", archive.display()), "amd64", context.path());
    assert_eq!(
        container.run(&["-c", "cat /data/said; curl --version | cut -c1-5 | head -n 1"]),
        "python\ngo\nc\ncurl \n"
    );
    let owners = container.run(&["-c", "stat -c '%n %u:%g' /data/a /home/app/f /data/said; getcap /out/c-hello"]);
    assert_eq!(
        owners,
        "/data/a 1000:1000\n/home/app/f 1000:1000\n/data/said 1000:1000\n/out/c-hello cap_net_bind_service=ep\n"
    );
}
