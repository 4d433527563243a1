//! Dockerfiles with `RUN`: what commands change, what they are given, and what is remembered of them.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;

use crate::support::container::{Bundle, require_runtime};
use crate::support::program::{Outcome, Program, binary};
use crate::support::tool::{install, require, require_root, run};
use crate::support::traces::{assert_store_is_sound, names_in};
use crate::support::tree::Tree;

/// A context with a busybox, whose commands the first steps of `FROM busybox AS …` make.
pub struct Bench {
    pub context: tempfile::TempDir,
    pub place: tempfile::TempDir,
    pub program: Program,
}

const BUSYBOX: &str = "FROM scratch AS busybox\nCOPY busybox /bin/busybox\n\
                       RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";

impl Bench {
    /// None where commands cannot be run.
    pub fn new(tree: Tree) -> Option<Self> {
        if !require_root() || !require("busybox") {
            return None;
        }
        let busybox = fs::read(run("sh", ["-c", "command -v busybox"]).trim()).unwrap();
        let context = tree.file("busybox", busybox).mode(0o755).plant();
        let place = tempfile::tempdir().unwrap();
        let program = Program::new().directory(place.path());
        Some(Bench { context, place, program })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Makes the Dockerfile what it is with `stages` behind `FROM busybox`.
    pub fn write(&self, stages: &str) {
        fs::write(self.context.path().join("Dockerfile"), format!("{BUSYBOX}{stages}")).unwrap();
    }

    /// Builds what stands behind `FROM busybox`, with the stages `before` it. A platform in `flags` takes the place of the usual one.
    pub fn build_stages(&self, stages: &str, flags: &[&str]) -> Outcome {
        self.write(stages);
        let context = self.context.path().to_str().unwrap();
        let usual =
            if flags.iter().any(|flag| flag.starts_with("--platform")) { &[][..] } else { &["--platform=linux/amd64"] };
        self.program.run([&["build", context], usual, flags].concat())
    }

    pub fn build(&self, steps: &str, flags: &[&str]) -> Outcome {
        self.build_stages(&format!("FROM busybox\n{steps}"), flags)
    }

    /// The root file system that the image of `steps` has.
    #[track_caller]
    pub fn root(&self, steps: &str) -> PathBuf {
        let root = self.path("root");
        let _ = fs::remove_dir_all(&root);
        self.build(steps, &["-o", &format!("type=local,dest={}", root.display())]).success();
        root
    }

    /// What the file at `path` holds in the image of `steps`.
    #[track_caller]
    pub fn content(&self, steps: &str, path: &str) -> String {
        fs::read_to_string(self.root(steps).join(path)).unwrap()
    }
}

#[test]
fn what_a_command_makes_changes_and_removes_is_in_the_image() {
    let tree = Tree::new().file("files/kept", "kept").file("files/gone", "").file("files/changed", "old");
    let Some(bench) = Bench::new(tree) else { return };
    if !require("umoci") || !require_runtime() {
        return;
    }
    let steps = "COPY files /files/\n\
                 RUN rm /files/gone && echo new > /files/changed && mkdir -m 700 /files/made && ln -s kept /files/link \
                 && ln /files/kept /files/hard && chown 7:8 /files/kept\n\
                 RUN rm -r /files/made && mkdir /files/made && chmod 750 /files\nENTRYPOINT [\"/bin/sh\"]\n";
    bench.build(steps, &["-t", "it", "-o", "x.tar"]).success();
    let root = bench.root(steps);
    assert_eq!(names_in(&root.join("files")), ["changed", "hard", "kept", "link", "made"]);
    assert_eq!(fs::read_to_string(root.join("files/changed")).unwrap(), "new\n");
    // Whoever else unpacks it has the same.
    let container =
        Bundle::unpack(&format!("oci-archive:{}", bench.path("x.tar").display()), "amd64", bench.place.path());
    let list = "stat -c '%n %A %u:%g %h' /files /files/*";
    let listing = container.run(&["-c", list]);
    insta::assert_snapshot!(listing, @r"
    /files drwxr-x--- 0:0 3
    /files/changed -rw-r--r-- 0:0 1
    /files/hard -rw-r--r-- 7:8 2
    /files/kept -rw-r--r-- 7:8 2
    /files/link lrwxrwxrwx 0:0 1
    /files/made drwxr-xr-x 0:0 2
    ");
}

#[test]
fn what_stages_stand_on_is_on_disk_once_though_no_image_has_it() {
    let tree = Tree::new().file("one", "1").file("two", "2");
    let Some(bench) = Bench::new(tree) else { return };
    let stages = "FROM scratch AS base\nCOPY busybox /bin/busybox\n\
                  FROM base AS one\nCOPY one /\nRUN [\"/bin/busybox\", \"cp\", \"/one\", \"/made\"]\n\
                  FROM base\nCOPY --from=one /made /\nCOPY two /\nRUN [\"/bin/busybox\", \"cp\", \"/two\", \"/made2\"]\n";
    let root = bench.path("root");
    bench.build_stages(stages, &["-o", &format!("type=local,dest={}", root.display())]).success();
    assert_eq!(names_in(&root), ["bin", "dev", "made", "made2", "proc", "sys", "two"]);
    let unpacked = bench.program.store().join("unpacked");
    let with_busybox = names_in(&unpacked).into_iter().filter(|name| unpacked.join(name).join("files/bin").exists());
    assert_eq!(with_busybox.count(), 1);
}

/// What the kernel makes up anew each time it is asked.
const RANDOM: &str = "cat /proc/sys/kernel/random/uuid";

#[test]
fn a_command_that_was_run_is_not_run_again() {
    let Some(bench) = Bench::new(Tree::new().file("a", "1").file("b", "1")) else { return };
    let steps = format!("COPY a /\nRUN {RANDOM} > /first\nCOPY b /\nRUN {RANDOM} > /second\n");
    let first = bench.build(&steps, &[]).digest();
    assert_eq!(bench.build(&steps, &[]).digest(), first);
    let [one, two] = ["first", "second"].map(|name| bench.content(&steps, name));
    // What stands on the change is run again, and finds what was there before.
    fs::write(bench.context.path().join("b"), "2").unwrap();
    let root = bench.root(&steps);
    assert_eq!(fs::read_to_string(root.join("first")).unwrap(), one);
    assert_ne!(fs::read_to_string(root.join("second")).unwrap(), two);
    assert_eq!(fs::read_to_string(root.join("b")).unwrap(), "2");
    let third = format!("{steps}RUN cat /first /second /b > /third && rm /second\n");
    let root = bench.root(&third);
    assert!(fs::read_to_string(root.join("third")).unwrap().starts_with(&one));
    assert!(!root.join("second").exists());
    assert_store_is_sound(&bench.program.store());
}

#[test]
fn another_checkout_of_the_same_files_runs_nothing_again() {
    let Some(mut bench) = Bench::new(Tree::new().file("a", "1").file("b/c", "1")) else { return };
    let steps = format!(
        "COPY a b /\nRUN {RANDOM} > /first\nRUN --mount=type=bind,source=b,target=/b {{ {RANDOM}; cat /b/c; }} > /second\n"
    );
    let first = bench.build(&steps, &[]).digest();
    let other = tempfile::tempdir().unwrap();
    let from = bench.context.path().join(".");
    run("cp", ["-r".as_ref(), from.as_os_str(), other.path().as_os_str()]);
    bench.context = other;
    assert_eq!(bench.build(&steps, &["--no-stat-cache"]).digest(), first);
    // Of a file with other content, the command that has it mounted alone is run again.
    let one = bench.content(&steps, "first");
    let two = bench.content(&steps, "second");
    fs::write(bench.context.path().join("b/c"), "2").unwrap();
    let root = bench.root(&steps.replace("COPY a b /", "COPY a /"));
    assert_ne!(fs::read_to_string(root.join("second")).unwrap(), two);
    assert_ne!(one, two);
}

#[test]
fn what_is_to_be_made_anew_is_and_all_that_stands_on_it() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let stages = format!(
        "FROM busybox AS one\nRUN {RANDOM} > /one\nFROM one AS two\nRUN {RANDOM} > /two\nFROM busybox\n\
         RUN {RANDOM} > /three\nCOPY --from=two /one /two /\nRUN {RANDOM} > /four\n"
    );
    let made = |flags: &[&str]| {
        let _ = fs::remove_dir_all(bench.path("root"));
        bench.build_stages(&stages, &[&["-o", "type=local,dest=root"], flags].concat()).success();
        ["one", "two", "three", "four"].map(|name| fs::read_to_string(bench.path("root").join(name)).unwrap())
    };
    let differ = |one: &[String; 4], other: &[String; 4]| [0, 1, 2, 3].map(|number| one[number] != other[number]);
    let first = made(&[]);
    assert_eq!(made(&[]), first);
    let second = made(&["--no-cache-filter=two"]);
    assert_eq!(differ(&first, &second), [false, true, false, true]);
    assert_eq!(made(&[]), second);
    let third = made(&["--no-cache-filter=ONE"]);
    assert_eq!(differ(&second, &third), [true, true, false, true]);
    assert_eq!(differ(&third, &made(&["--no-cache"])), [true; 4]);
}

#[test]
fn a_stage_that_no_image_has_is_remembered_too() {
    let Some(bench) = Bench::new(Tree::new().file("a", "1")) else { return };
    let stages =
        format!("FROM busybox AS builder\nRUN {RANDOM} > /made\nFROM busybox\nCOPY a /\nCOPY --from=builder /made /\n");
    let made = || {
        let root = bench.path("root");
        let _ = fs::remove_dir_all(&root);
        bench.build_stages(&stages, &["-o", "type=local,dest=root"]).success();
        fs::read_to_string(root.join("made")).unwrap()
    };
    let first = made();
    fs::write(bench.context.path().join("a"), "2").unwrap();
    assert_eq!(made(), first);
    // Taken by another step, which has to read it from its layer.
    let other = stages.replace("/made /\n", "/made /elsewhere/\n");
    bench.build_stages(&other, &["-o", "type=local,dest=other"]).success();
    assert_eq!(fs::read_to_string(bench.path("other/elsewhere/made")).unwrap(), first);
}

#[test]
fn a_command_that_fails_says_how_and_leaves_nothing() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let outcome = bench.build("RUN echo so far; echo not further >&2; exit 7\n", &["-o", "x.tar"]).failure(1);
    outcome.says(&["exit code 7", "so far", "not further", "Dockerfile:5", "RUN echo so far"]);
    let outcome = bench.build("RUN kill -9 $$\n", &["-o", "x.tar"]).failure(1);
    outcome.says(&["signal 9", "Dockerfile:5"]);
    let outcome = bench.build("RUN [\"missing\"]\n", &["-o", "x.tar"]).failure(1);
    outcome.says(&["missing", "Dockerfile:5"]);
    assert_eq!(names_in(bench.place.path()), [""; 0]);
    assert_store_is_sound(&bench.program.store());
}

#[test]
fn a_command_has_the_settings_of_its_stage() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let steps = "RUN echo 'app:x:1000:1001::/home/app:/bin/sh' > /etc/passwd || \
                 { mkdir /etc && echo 'app:x:1000:1001::/home/app:/bin/sh' > /etc/passwd; }\n\
                 RUN printf 'app:x:1001:\\nmore:x:50:app\\n' > /etc/group && mkdir -p /srv/app && chown app /srv/app\n\
                 ARG COLOUR=red\nENV SIZE=large COLOUR2=$COLOUR\nWORKDIR /srv/app\nUSER app\n\
                 RUN { id -u; id -g; id -G; pwd; echo $HOME $SIZE $COLOUR $COLOUR2; umask; } > told\n";
    assert_eq!(bench.content(steps, "srv/app/told"), "1000\n1001\n1001 50\n/srv/app\n/home/app large red red\n0022\n");
}

#[test]
fn the_layer_has_nothing_of_what_a_command_was_given_but_the_directories_of_the_system() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let root = bench.root("RUN test -s /etc/hosts && test -e /dev/null && test -d /proc/self && echo > /made\n");
    assert_eq!(names_in(&root), ["bin", "dev", "made", "proc", "sys"]);
    for name in ["dev", "proc", "sys"] {
        assert_eq!(names_in(&root.join(name)), Vec::<String>::new());
        let status = fs::metadata(root.join(name)).unwrap();
        assert_eq!((status.mode(), status.uid(), status.gid()), (0o40755, 0, 0), "{name}");
    }
}

#[test]
fn mounts_are_there_for_the_command_alone() {
    let tree = Tree::new().file("lib/a", "library").file("lib/left-out", "").file(".dockerignore", "lib/left-out");
    let Some(bench) = Bench::new(tree) else { return };
    fs::write(bench.path("token"), "hidden-7f3a").unwrap();
    let steps = "RUN --mount=type=bind,source=lib,target=/lib --mount=type=tmpfs,target=/scratch \
                 --mount=type=secret,id=token --mount=type=cache,target=/cache \
                 { ls /lib; cat /lib/a; grep ' /scratch ' /proc/mounts | cut -d' ' -f1; \
                 wc -c < /run/secrets/token; ls /cache; } > /told && echo > /cache/kept && echo > /scratch/x\n\
                 RUN --mount=type=bind,source=lib,target=/lib,rw echo changed > /lib/a\n";
    let flags = ["--secret", "id=token,src=token", "-o", "type=local,dest=root"];
    bench.build(steps, &flags).success();
    assert_eq!(fs::read_to_string(bench.path("root/told")).unwrap(), "a\nlibrarytmpfs\n11\n");
    assert_eq!(names_in(&bench.path("root")), ["bin", "dev", "proc", "sys", "told"]);
    assert_eq!(fs::read_to_string(bench.context.path().join("lib/a")).unwrap(), "library");
    // The cache is kept, and nothing of the secret.
    let again = steps.replace("/told", "/told2");
    bench.build(&again, &["--secret", "id=token,src=token", "-o", "type=local,dest=other"]).success();
    assert_eq!(fs::read_to_string(bench.path("other/told2")).unwrap(), "a\nlibrarytmpfs\n11\nkept\n");
    let store = bench.program.store();
    let found = std::process::Command::new("grep").args(["-r", "hidden-7f3a"]).arg(store).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn a_cache_that_begins_with_something_else_is_another_one() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let look = "{ stat -c '%a %u:%g' /c && ls /c && touch /c/kept; } >> /told\n";
    let mounts = ["", ",uid=1000,mode=0700", "", ",from=made,source=/first", ",from=made,source=/first"];
    let looks: String = mounts.iter().map(|more| format!("RUN --mount=type=cache,target=/c{more} {look}")).collect();
    let stages = format!(
        "FROM busybox AS made\nRUN mkdir -m 711 /first && chown 3:4 /first && touch /first/a\nFROM busybox\n{looks}"
    );
    bench.build_stages(&stages, &["-o", "type=local,dest=root"]).success();
    // A directory of a stage has its own owner and mode.
    let told = fs::read_to_string(bench.path("root/told")).unwrap();
    assert_eq!(told, "755 0:0\n700 1000:0\n755 0:0\nkept\n711 3:4\na\n711 3:4\na\nkept\n");
}

#[test]
fn a_working_directory_that_is_made_for_a_command_is_its_users() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let steps = "WORKDIR /work/here\nUSER 1000:1001\nRUN stat -c '%u:%g' /work .\nUSER 0\nRUN rm -r /work\nUSER 1000:1001\n\
                 RUN echo > made\n";
    let root = bench.root(steps);
    for path in ["work", "work/here", "work/here/made"] {
        let status = fs::metadata(root.join(path)).unwrap();
        assert_eq!((status.uid(), status.gid()), (1000, 1001), "{path}");
    }
}

#[test]
fn commands_of_two_stages_run_side_by_side() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    // Each ends once the other has begun.
    let stage = |own: &str, other: &str| {
        format!(
            "FROM busybox AS {own}\nRUN --mount=type=cache,id=meeting,target=/m touch /m/{own}; \
             for i in $(seq 600); do [ -e /m/{other} ] && echo > /{own} && exit 0; sleep 0.1; done; exit 1\n"
        )
    };
    let stages = [stage("one", "two"), stage("two", "one")].concat();
    let last = "FROM busybox\nCOPY --from=one /one /\nCOPY --from=two /two /\n";
    bench.build_stages(&format!("{stages}{last}"), &["--jobs=2", "-o", "type=local,dest=root"]).success();
    assert_eq!(names_in(&bench.path("root")), ["bin", "dev", "one", "proc", "sys", "two"]);
}

#[test]
fn heredocs_are_scripts_of_the_shell_or_of_their_own_program() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let steps = "RUN <<EOF\necho of the shell > /a\necho $0 >> /a\nEOF\n\
                 RUN <<EOF\n#!/bin/sh -e\necho of its own, $0 > /b\nEOF\n\
                 RUN cat <<ONE > /c && cat <<TWO >> /c\n1\nONE\n2\nTWO\n";
    let root = bench.root(steps);
    let [a, b, c] = ["a", "b", "c"].map(|name| fs::read_to_string(root.join(name)).unwrap());
    assert_eq!([a.as_str(), &b, &c], ["of the shell\n/bin/sh\n", "of its own, /dev/pipes/EOF\n", "1\n2\n"]);
    assert_eq!(names_in(&root), ["a", "b", "bin", "c", "dev", "proc", "sys"]);
}

#[test]
fn a_command_may_have_no_network() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let told = bench.content("RUN --network=none ls /sys/class/net > /told\n", "told");
    assert_eq!(told, "lo\n");
}

#[test]
fn progress_has_what_a_command_writes() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let outcome = bench
        .build("RUN echo from the command; printf 'gone\\rand\\033[31m more\\tand more'\n", &["--progress=plain"])
        .success();
    let lines: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("#2")).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0].starts_with("#2 RUN echo from the command"), "{lines:?}");
    assert_eq!(lines[1], "#2 from the command");
    assert!(
        lines[2].starts_with("#2 and") && lines[2].contains(" more   and more") && !lines[2].contains('\u{1b}'),
        "{lines:?}"
    );
    assert!(lines[3].starts_with("#2 took "), "{lines:?}");
}

#[test]
fn the_root_of_the_image_is_as_the_image_has_it_whatever_the_umask() {
    let Some(mut bench) = Bench::new(Tree::new().file("a", "1")) else { return };
    bench.program = bench.program.umask(0o077);
    let steps =
        "COPY a /\nRUN mkdir -m 777 /free\nUSER 1000\nRUN stat -c '%A %u:%g' / > /free/told && cat /a >> /free/told\n";
    assert_eq!(bench.content(steps, "free/told"), "drwxr-xr-x 0:0\n1");
}

/// The first of the IDs that an ordinary user may have beside his own.
const SUBORDINATE: u32 = 100_000;

/// Runs the program `$0` as root of a user namespace in which the IDs are those of [`SUBORDINATE`], with all arguments but the
/// first.
const IN_A_USER_NAMESPACE: &str = r#"
shift
unshare --user --mount sleep 1000 &
until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/$$/ns/user)" ]; do sleep 0.01; done
echo "0 100000 65536" > /proc/$!/uid_map
echo "0 100000 65536" > /proc/$!/gid_map
status=0
nsenter --target=$! --user --mount --setuid=0 --setgid=0 "$0" "$@" || status=$?
kill $!
exit $status
"#;

#[test]
fn root_of_a_user_namespace_makes_the_same_image() {
    let Some(bench) = Bench::new(Tree::new().file("a", "1")) else { return };
    if !require("unshare") || !require("nsenter") {
        return;
    }
    let steps = "COPY a /\nRUN chown 7:8 /a && mkdir -m 1777 /made && touch /dev/null && ls /sys/class > /made/classes \
                 && rm /made/classes && dd if=/dev/zero of=/made/zeros bs=10 count=1\n";
    let digest = bench.build(steps, &[]).digest();
    let other = Program::new().directory(bench.place.path());
    let program = other.home().join("ocibake");
    install(&binary(), &program);
    for path in [other.home(), &other.store(), &other.docker_config(), bench.context.path()] {
        chown(path, Some(SUBORDINATE), Some(SUBORDINATE)).unwrap();
    }
    // What stands last is the program that was built, which may lie where nobody else is let in.
    let starter = ["sh", "-ec", IN_A_USER_NAMESPACE, program.to_str().unwrap()];
    let context = bench.context.path().to_str().unwrap();
    let arguments = ["build", context, "--platform=linux/amd64"];
    let mut command = other.command_under(&starter, arguments);
    assert_eq!(Outcome::of(&mut command).digest(), digest);
}
