//! Commands for other platforms.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use super::dockerfile::Bench;
use crate::support::project::require_namespaced_emulators;
use crate::support::tool::{require, run, skip};
use crate::support::traces::names_in;
use crate::support::tree::Tree;

/// The shell of a platform: it starts itself under another name, and that tells where it runs and what it was given.
const SHELL: &str = r#"
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (strcmp(arguments[0], "child") == 0) {
        struct utsname machine;
        uname(&machine);
        FILE *told = fopen("/told", "w");
        fprintf(told, "%s %s %d\n", machine.machine, arguments[1], getuid());
        return fclose(told) || chown("/told", 7, 8);
    }
    if (fork() == 0) {
        execl("/bin/sh", "child", arguments[2], (char *)NULL);
        return 9;
    }
    int status = 8;
    wait(&status);
    return status != 0;
}
"#;

/// A context with a shell for arm64, `foreign`.
fn bench(flags: &[&str]) -> Option<Bench> {
    let bench = Bench::new(Tree::new())?;
    if !require("aarch64-linux-gnu-gcc") {
        return None;
    }
    let source = bench.path("sh.c");
    fs::write(&source, SHELL).unwrap();
    let to = bench.context.path().join("foreign");
    let arguments = ["-o".as_ref(), to.as_os_str(), source.as_os_str()];
    run("aarch64-linux-gnu-gcc", flags.iter().map(AsRef::as_ref).chain(arguments));
    Some(bench)
}

const STAGES: &str = "FROM scratch\nCOPY foreign /bin/sh\nRUN said\n";

#[test]
fn a_platform_without_an_emulator_is_an_error_that_names_it() {
    if Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
        skip("the kernel has an emulator for arm64");
        return;
    }
    let Some(bench) = bench(&["-static"]) else { return };
    let outcome = bench.build_stages(STAGES, &["--platform=linux/arm64"]).failure(1);
    outcome.says(&[
        "cannot run commands for linux/arm64 on this machine, which is linux/amd64: \
         no emulator is registered with its kernel (binfmt_misc)\n",
        "/Dockerfile:6:1",
        "qemu-user-static",
        "tonistiigi/binfmt --install arm64",
    ]);
}

#[test]
fn a_stage_on_the_machines_own_platform_needs_no_emulator() {
    let Some(bench) = bench(&["-static"]) else { return };
    let stages = "FROM --platform=$BUILDPLATFORM busybox AS made\nARG TARGETARCH\nRUN echo for $TARGETARCH > /told\n\
                  FROM scratch\nCOPY foreign /bin/sh\nCOPY --from=made /told /\n";
    let flags = ["--platform=linux/arm64", "-o", "type=local,dest=root"];
    let dockerfile = bench.build_stages(stages, &flags);
    dockerfile.success();
    assert_eq!(fs::read_to_string(bench.path("root/told")).unwrap(), "for arm64\n");
}

const EMULATOR: &str = "--emulator=aarch64=/usr/bin/qemu-aarch64-static";

#[test]
fn an_emulator_that_is_given_runs_commands_and_all_that_they_start() {
    let Some(bench) = bench(&["-static"]) else { return };
    if !require_namespaced_emulators() {
        return;
    }
    let flags = ["--platform=linux/arm64", EMULATOR, "-o", "type=local,dest=root", "-o", "x.tar"];
    let digest = bench.build_stages(STAGES, &flags).digest();
    assert_eq!(fs::read_to_string(bench.path("root/told")).unwrap(), "aarch64 said 0\n");
    let metadata = fs::metadata(bench.path("root/told")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (7, 8));
    assert_eq!(names_in(&bench.path("root")), ["bin", "dev", "proc", "sys", "told"]);
    // The machine itself knows nothing of it.
    let here = Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists();
    assert_eq!(Command::new(bench.context.path().join("foreign")).status().is_ok(), here);
    // How a command was run is in no key.
    let again = bench.build_stages(STAGES, &["--platform=linux/arm64", "--progress=plain"]).success();
    assert!(again.stderr.contains("CACHED"), "{}", again.stderr);
    assert_eq!(again.digest(), digest);
}

#[test]
fn commands_of_the_machine_itself_are_run_as_ever() {
    let Some(bench) = bench(&["-static"]) else { return };
    if !require_namespaced_emulators() {
        return;
    }
    let steps = "RUN touch /a && chown 7:8 /a && stat -c '%n %A %u:%g' /bin/* > /told && mkdir /d && rm /bin/wc\n";
    let digest = bench.build(steps, &[]).digest();
    assert_eq!(bench.build(steps, &[EMULATOR, "--no-cache"]).digest(), digest);
}

#[test]
fn an_emulator_has_to_be_one() {
    let Some(bench) = bench(&[]) else { return };
    if !require_namespaced_emulators() {
        return;
    }
    for (flag, says) in [
        ("--emulator=arm64", "`arm64` is not an architecture and its emulator"),
        ("--emulator=z80=/bin/busybox", "there is no architecture `z80`"),
        ("--emulator=arm64=/etc/passwd", "/etc/passwd is not a program"),
        ("--emulator=arm64=/etc", "/etc is not a program"),
    ] {
        bench.build_stages(STAGES, &["--platform=linux/arm64", flag]).failure(2).says(&["--emulator: ", says]);
    }
    let none = bench.build_stages(STAGES, &["--platform=linux/arm64", "--emulator=arm64=/none"]);
    none.failure(1).says(&["--emulator: cannot find the emulator /none"]);
    // One that is linked to libraries finds none of them in the image.
    let dynamic = format!("--emulator=arm64={}", run("sh", ["-c", "command -v python3"]).trim());
    let outcome = bench.build_stages(STAGES, &["--platform=linux/arm64", &dynamic]).failure(1);
    outcome.says(&["cannot start the emulator ", "in the image", "statically linked", "/Dockerfile:6:1"]);
}
