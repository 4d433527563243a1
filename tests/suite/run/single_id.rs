//! Commands in a user namespace of one id: what they find is what root finds, and so is what they leave.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::overlay::OnOverlay;
use crate::support::program::{NOBODY, Outcome, Program};
use crate::support::tool::{checked, require, require_root, run};
use crate::support::tree::Tree;

/// Starts a program as root of a user namespace of its one id.
pub const ONE_ID: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];

const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// A busybox with users.
const BASE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
                    COPY passwd group /etc/\n";

struct Bench {
    context: tempfile::TempDir,
    /// Its store lasts from build to build.
    program: Program,
}

impl Bench {
    /// None where there are no namespaces to be had.
    fn new() -> Option<Bench> {
        if !require_root() || !["busybox", "unshare", "setpriv"].into_iter().all(require) {
            return None;
        }
        let busybox = fs::read(run("sh", ["-c", "command -v busybox"]).trim()).unwrap();
        let tree = Tree::new()
            .file("busybox", busybox)
            .mode(0o755)
            .file("passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n")
            .file("group", "root:x:0:\napp:x:1001:\nmore:x:2000:app\n");
        Some(Bench { context: tree.plant(), program: Program::new().environment("SOURCE_DATE_EPOCH", "0") })
    }

    /// Builds `steps` on the base, started by `starter`.
    fn build(&self, starter: &[&str], steps: &str, flags: &[&str]) -> Outcome {
        fs::write(self.context.path().join("Dockerfile"), format!("{BASE}{steps}")).unwrap();
        let context = self.context.path().to_str().unwrap();
        Outcome::of(&mut self.program.command_under(starter, [&["build", context], flags].concat()))
    }

    /// What the last of `steps` writes, which has to succeed.
    #[track_caller]
    fn says(&self, steps: &str) -> String {
        let outcome = self.build(&ONE_ID, steps, &["--progress=plain"]).success();
        let number = outcome.stderr.matches("\n#").count();
        let last = outcome.stderr.lines().filter_map(|line| line.strip_prefix('#')?.split_once(' '));
        let last: Vec<(&str, &str)> = last.collect();
        assert!(number > 0, "{}", outcome.stderr);
        let wanted = last.last().unwrap().0;
        let lines = last
            .iter()
            .filter(|(step, line)| *step == wanted && !line.starts_with("RUN ") && !line.starts_with("took "));
        lines.map(|(_, line)| format!("{line}\n")).collect()
    }
}

/// A static program for `architecture`, made of `single_id.go`.
fn compiled(context: &Path, architecture: &str) {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite/run/single_id.go");
    checked(Command::new("go").args(["build", "-o"]).arg(context.join("program")).arg(source).envs([
        ("CGO_ENABLED", "0"),
        ("GOARCH", architecture),
        ("GOFLAGS", "-mod=mod"),
        ("GO111MODULE", "off"),
    ]));
}

const MANY: &str = r"
RUN mkdir -p /a/b && echo x > /a/f && chown 5:6 /a/f && chown -R 1000:1001 /a/b && chmod 4755 /a/f && ln /a/f /a/hard && \
    ln -s f /a/link && chown -h 7:8 /a/link && mkfifo /a/fifo && chown 9:10 /a/fifo && \
    mknod /a/null c 1 3 && mknod /a/disk b 8 17 && chown 3:4 /a/disk && chmod 600 /a/disk && \
    mkdir -m 2775 /a/shared && chown 0:50 /a/shared && chmod 2775 /a/shared && touch /a/shared/file && mkdir /a/shared/sub
RUN chmod 640 /a/hard && mv /a/link /a/moved && ln /a/moved /a/again && mv /a/fifo /a/pipe && cp -a /a /copy && \
    tar -C /a -cf /x.tar . && mkdir /un && tar -C /un -xf /x.tar && rm /x.tar && \
    cp /bin/busybox /installed && chown app:more /installed && chmod 4711 /installed && chown 77 /a/b && touch -h -d 2001-01-01 /a/moved
RUN su app -c 'touch /tmp/by-app; mkdir /tmp/dir; ln -s x /tmp/link; mkfifo /tmp/fifo; echo x > /tmp/dir/file' && \
    chown 0:0 /a/f && echo other:x:1234:1234::/home:/bin/sh >> /etc/passwd && mkdir -m 777 /home && \
    su other -c 'umask 077; touch ~/private'
USER app
WORKDIR /home/work
RUN touch file && mkdir dir && id > dir/id && (touch /no || mkdir /no || ln -s x /no || true)
";

#[test]
fn the_image_is_the_one_that_all_ids_make() {
    let (Some(one), Some(all)) = (Bench::new(), Bench::new()) else { return };
    let steps = MANY.replacen("RUN mkdir", "RUN mkdir -m 1777 /tmp && mkdir", 1);
    let found = one.build(&ONE_ID, &steps, &[]).digest();
    assert_eq!(found, all.build(&[], &steps, &[]).digest());
    // Copies take all along that is kept of owners.
    let (Bench { context, program }, overlay) = (one, OnOverlay::new());
    let one = Bench { context, program: program.environment("OCIBAKE_STORE", overlay.path()) };
    assert_eq!(one.build(&ONE_ID, &steps, &[]).digest(), found);
    // It was no empty image that both have made.
    let root = all.context.path().join("root");
    all.build(&[], &steps, &["-o", &format!("type=local,dest={}", root.display())]).success();
    let list = run(
        "sh",
        [
            "-c",
            "cd \"$1\" && stat -c '%n %A %u:%g %t,%T' a/* copy un/disk un/moved un/pipe installed tmp/* home/private home/work/dir/id",
            "sh",
            root.to_str().unwrap(),
        ],
    );
    insta::assert_snapshot!(list, @r"
    a/again lrwxrwxrwx 7:8 0,0
    a/b drwxr-xr-x 77:1001 0,0
    a/disk brw------- 3:4 8,11
    a/f -rwxr-xr-x 0:0 0,0
    a/hard -rw-r----- 5:6 0,0
    a/moved lrwxrwxrwx 7:8 0,0
    a/null crw-r--r-- 0:0 1,3
    a/pipe prw-r--r-- 9:10 0,0
    a/shared drwxrwsr-x 0:50 0,0
    copy drwxr-xr-x 0:0 0,0
    un/disk brw------- 3:4 8,11
    un/moved lrwxrwxrwx 0:0 0,0
    un/pipe prw-r--r-- 9:10 0,0
    installed -rws--x--x 1000:2000 0,0
    tmp/by-app -rw-r--r-- 1000:1001 0,0
    tmp/dir drwxr-xr-x 1000:1001 0,0
    tmp/fifo prw-r--r-- 1000:1001 0,0
    tmp/link lrwxrwxrwx 1000:1001 0,0
    home/private -rw------- 1234:1234 0,0
    home/work/dir/id -rw-r--r-- 1000:1001 0,0
    ");
}

#[test]
fn in_a_copy_an_owner_alone_is_a_change_and_none_is_not() {
    let (Some(one), Some(all), overlay) = (Bench::new(), Bench::new(), OnOverlay::new()) else { return };
    let program = one.program.environment("OCIBAKE_STORE", overlay.path());
    let one = Bench { context: one.context, program };
    let steps = "RUN mkdir /d && echo x > /d/f && ln -s f /d/l && mkfifo /d/p && mknod /d/n c 1 3 && echo y > /d/g && mkdir /e && chown 4 /e\n\
                 RUN chown 5 /d/f\nRUN chown -h 6:7 /d/l\nRUN chown 8 /d/p\nRUN chown 9 /d/n\nRUN chown 10 /d\nRUN chown 0 /d/f\n\
                 RUN chown 0 /d/f && chown 10 /d && chmod 644 /d/g && : >> /d/g\n\
                 RUN rmdir /e && mkdir /e && chown 4 /e\nRUN chown 4 /etc\n";
    let digest = one.build(&ONE_ID, steps, &[]).digest();
    assert_eq!(digest, all.build(&[], steps, &[]).digest());
    assert_eq!(one.build(&ONE_ID, steps, &["--no-cache"]).digest(), digest);
}

#[test]
fn a_directory_that_a_file_was_provided_in_stays_if_it_was_given_away() {
    let (Some(one), Some(all), overlay) = (Bench::new(), Bench::new(), OnOverlay::new()) else { return };
    // The image has no `/etc`: what the command does to it is all that it is there for.
    let steps = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"chown\", \"5\", \"/etc\"]\n";
    let build = |bench: &Bench, starter: &[&str]| {
        fs::write(bench.context.path().join("Dockerfile"), steps).unwrap();
        let root = bench.context.path().join("root");
        let output = format!("type=tar,dest={}", root.display());
        let words = ["build", bench.context.path().to_str().unwrap(), "-o", &output];
        Outcome::of(&mut bench.program.command_under(starter, words)).success();
        run("tar", ["--numeric-owner", "-tvf", root.to_str().unwrap(), "etc"])
    };
    let program = one.program.environment("OCIBAKE_STORE", overlay.path());
    let one = Bench { context: one.context, program };
    let list = build(&one, &ONE_ID);
    assert_eq!(list, build(&all, &[]));
    assert!(list.starts_with("drwxr-xr-x 5/0 "), "{list}");
}

#[test]
fn commands_find_the_owners_that_were_given() {
    let Some(bench) = Bench::new() else { return };
    let said = bench.says(
        "RUN mkdir /d && touch /d/f && chown 5:6 /d/f && ln -s f /d/l && chown -h 7:8 /d/l && mknod /d/n c 1 3\n\
         RUN stat -c '%n %F %u:%g %t,%T' /d/f /d/l /d/n; stat -L -c '%u' /d/l; chown 9 /d/f; chgrp 10 /d/f; \
         ls -n /d/f | tr -s ' ' | cut -d' ' -f1-4; find / -xdev -user 7; test -c /d/n && echo device; \
         find /d -user 9 -group 10; su app -c 'id; chown 0 /d/f 2>&1 || chgrp 2000 /d/f 2>&1 || echo no'\n",
    );
    insta::assert_snapshot!(said, @r"
    /d/f regular empty file 5:6 0,0
    /d/l symbolic link 7:8 0,0
    /d/n character special file 0:0 1,3
    5
    -rw-r--r-- 1 9 10
    /d/l
    device
    /d/f
    uid=1000(app) gid=1001(app) groups=1001(app),2000(more)
    chown: /d/f: Operation not permitted
    chgrp: /d/f: Operation not permitted
    no
    ");
}

#[test]
fn who_is_not_root_may_not_write_where_only_root_may() {
    let Some(bench) = Bench::new() else { return };
    let said = bench.says(
        "RUN mkdir /own && chown app /own && mkdir -m 1777 /tmp && echo x > /etc/secret && chmod 600 /etc/secret\nUSER app\n\
         RUN for at in / /etc /own /tmp; do mkdir $at/d 2>/dev/null && echo dir $at; touch $at/f 2>/dev/null && echo file $at; \
         ln -s x $at/l 2>/dev/null && echo link $at; done; (echo y >> /etc/passwd) 2>/dev/null || echo kept; \
         test -w /etc/passwd || echo told; test -r /etc/secret || echo secret; mknod /own/n c 1 3 2>/dev/null || echo node; \
         chroot / true 2>/dev/null || echo root; ls -ln /own | tr -s ' ' | cut -d' ' -f1-4; id -G\n",
    );
    insta::assert_snapshot!(said, @r"
    dir /own
    file /own
    link /own
    dir /tmp
    file /tmp
    link /tmp
    kept
    told
    secret
    node
    root
    total 4
    drwxr-xr-x 2 1000 1001
    -rw-r--r-- 1 1000 1001
    lrwxrwxrwx 1 1000 1001
    1001 2000
    ");
}

#[test]
fn a_program_with_many_threads_is_served_though_signals_interrupt_it() {
    let Some(bench) = Bench::new().filter(|_| require("go")) else { return };
    for architecture in ["amd64", "386"] {
        compiled(bench.context.path(), architecture);
        let said = bench.says("COPY program /\nRUN /program many && /program attributes && /program lists\n");
        assert_eq!(said, "ok\nok\nok\n", "{architecture}");
    }
}

#[test]
fn what_would_go_past_the_supervisor_is_refused() {
    let Some(bench) = Bench::new().filter(|_| require("go")) else { return };
    compiled(bench.context.path(), "amd64");
    let said = bench.says("COPY program /\nRUN /program refused\n");
    insta::assert_snapshot!(said, @r"
    io_uring: function not implemented
    limit: operation not permitted
    its descriptors: 0
    its memory: open /proc/1/mem: permission denied
    ok
    ");
}

#[test]
fn a_path_that_changes_while_it_is_read_leads_nowhere_else() {
    let Some(bench) = Bench::new().filter(|_| require("go")) else { return };
    compiled(bench.context.path(), "amd64");
    let bait = bench.context.path().join("bait");
    fs::create_dir(&bait).unwrap();
    fs::write(bait.join("resolv.conf"), "of the host\n").unwrap();
    let list = || run("sh", ["-c", "cd \"$1\" && stat -c '%n %Z %u %A' . *", "sh", bait.to_str().unwrap()]);
    let before = list();
    let steps = format!("COPY program /\nRUN ln -s {} /out && /program race\n", bait.display());
    assert_eq!(bench.says(&steps), "ok\n");
    assert_eq!(list(), before);
    let lost = run("sh", ["-c", "find \"$1\" -name x -path '*fd*'", "sh", bench.program.store().to_str().unwrap()]);
    assert_eq!(lost, "");
}

#[test]
fn an_ordinary_user_needs_no_other_ids() {
    let Some(bench) = Bench::new() else { return };
    // Where the program was built, another user may not be let in.
    let all = bench.program.home().to_str().unwrap().to_owned();
    run("chown", ["-R", &format!("{NOBODY}:{NOBODY}"), &all]);
    let starter = [&AS_NOBODY[..], &ONE_ID].concat();
    let steps = "RUN mkdir -m 1777 /tmp && chown 5:6 /tmp && su app -c 'touch /tmp/f' && stat -c %u:%g /tmp /tmp/f\n";
    let first = bench.build(&starter, steps, &[]).digest();
    let Some(root) = Bench::new() else { return };
    assert_eq!(root.build(&[], steps, &[]).digest(), first);
}

#[test]
fn files_that_are_written_out_for_an_ordinary_user_are_plain() {
    let Some(bench) = Bench::new().filter(|_| require("getfattr")) else { return };
    let root = bench.context.path().join("root");
    let steps =
        "RUN touch /f /s && chown 5:6 /f && chmod 4755 /s && mknod /n c 1 3 && cp /f /g\nCOPY --chown=7:8 passwd /p\n";
    bench.build(&ONE_ID, steps, &["-o", &format!("type=local,dest={}", root.display())]).success();
    let shown = run(
        "sh",
        [
            "-c",
            "cd \"$1\" && stat -c '%n %u:%g %a' f g p s && getfattr -d -m - f g p s && test ! -e n",
            "sh",
            root.to_str().unwrap(),
        ],
    );
    assert_eq!(shown, "f 0:0 644\ng 0:0 644\np 0:0 644\ns 0:0 755\n");
}

#[test]
fn programs_run_as_who_owns_them_if_they_say_so() {
    let Some(bench) = Bench::new().filter(|_| require("go")) else { return };
    compiled(bench.context.path(), "amd64");
    let said = bench.says(
        "COPY program /\nRUN cp /program /who && chown 1000:2000 /who && chmod 6755 /who && echo x > /bad && \
         chown 1000 /bad && chmod 4755 /bad && /who who && /program who && su app -c '/program who' && /program fails && \
         chroot / /who who | grep -v ok && su app -c '/program who | grep -v ok; cp /who /mine 2>&1 || echo no'\n",
    );
    insta::assert_snapshot!(said, @r"
    0 1000 0 2000
    ok
    0 0 0 0
    ok
    1000 1000 1001 1001
    ok
    exec format error 0
    ok
    0 1000 0 2000
    1000 1000 1001 1001
    cp: can't create '/mine': Permission denied
    no
    ");
}

#[test]
fn mounts_have_the_owners_that_were_asked_for() {
    let Some(bench) = Bench::new() else { return };
    let secret = bench.context.path().join("secret");
    fs::write(&secret, "hidden\n").unwrap();
    let run = "--mount=type=secret,id=s,uid=1000,mode=0400 --mount=type=cache,target=/c,uid=1000,gid=1001 \
               --mount=type=bind,from=other,source=/s,target=/b,rw --mount=type=bind,from=other,source=/s,target=/r";
    let steps = format!(
        "RUN mkdir /s && touch /s/f && chown 5:6 /s /s/f\nFROM other\n\
         RUN {run} exec 2>&1; stat -c '%n %u:%g' /run/secrets/s /c /b /b/f /r /r/f; su app -c 'cat /run/secrets/s; touch /c/a /b/a'; \
         touch /c/r; chown 9 /b/f; chown 9 /r/f; stat -c '%n %u:%g' /c/* /b/f\n\
         RUN {run} stat -c '%n %u:%g' /c/* /b/f\n"
    );
    let steps = steps.replace("FROM other", "FROM base");
    fs::write(
        bench.context.path().join("Dockerfile"),
        format!(
            "{}{}",
            BASE.replace("FROM scratch", "FROM scratch AS base"),
            steps.replacen("RUN mkdir", "FROM base AS other\nRUN mkdir", 1)
        ),
    )
    .unwrap();
    let (context, secret) = (bench.context.path().to_str().unwrap(), format!("id=s,src={}", secret.display()));
    let arguments = ["build", context, "--progress=plain", "--secret", &secret];
    let outcome = Outcome::of(&mut bench.program.command_under(&ONE_ID, arguments)).success();
    let lines = outcome.stderr.lines().filter_map(|line| line.strip_prefix('#')?.split_once(' '));
    let said: Vec<&str> =
        lines.map(|(_, line)| line).filter(|line| line.contains([':', 'h']) && !line.starts_with("RUN")).collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    /run/secrets/s 1000:0
    /c 1000:1001
    /b 5:6
    /b/f 5:6
    /r 5:6
    /r/f 5:6
    hidden
    touch: /b/a: Permission denied
    chown: /r/f: Read-only file system
    /c/a 1000:1001
    /c/r 0:0
    /b/f 9:6
    /c/a 1000:1001
    /c/r 0:0
    /b/f 5:6
    ");
}

/// The machine's own programs, which know of capabilities and attributes.
const PROGRAMS: [&str; 7] = ["cp", "getcap", "install", "setcap", "setpriv", "stat", "tar"];

#[test]
fn capabilities_and_copies_come_out_as_with_all_ids() {
    let (Some(one), Some(all)) = (Bench::new(), Bench::new()) else { return };
    if !PROGRAMS.into_iter().all(require) {
        return;
    }
    // The shell takes its own commands for those of the same name, unless it is told where they are.
    let steps = "COPY root /\nRUN L=/usr/local/bin; echo x > /f && cp $L/stat /p && setcap cap_net_bind_service=+ep /p && \
                 $L/cp --preserve=all /p /p2 && $L/install -o 1000 -g 2000 -m 4755 /f /g && $L/install -d -o 5 -g 6 /d && \
                 mkdir /t && chown 1000 /t && $L/setpriv --reuid=1000 --regid=1001 --groups=2000 $L/cp /f /t/by-app && \
                 $L/tar --xattrs --xattrs-include='*' -C / -cf /x.tar p g d t f && mkdir /un && \
                 $L/tar --xattrs --xattrs-include='*' -C /un -xf /x.tar && rm /x.tar && $L/cp -a /un /again\n\
                 RUN getcap -r /p /p2 /un /again | sort; stat -c '%n %A %u:%g' /again/g /again/d /again/t /again/t/by-app /again/f\n";
    for bench in [&one, &all] {
        let root = bench.context.path().join("root");
        let script = "for name in $PROGRAMS; do file=$(command -v $name); install -D $file $1/usr/local/bin/$name; \
                      for library in $(ldd $file | grep -o '/[^ )]*'); do install -D $library $1$library; done; done";
        let arguments = ["-c", script, "sh", root.to_str().unwrap()];
        checked(Command::new("sh").args(arguments).env("PROGRAMS", PROGRAMS.join(" ")));
    }
    let found = one.build(&ONE_ID, steps, &[]).digest();
    assert_eq!(found, all.build(&[], steps, &[]).digest());
    let said = Bench { context: one.context, program: Program::new() }.says(steps);
    insta::assert_snapshot!(said, @r"
    /again/p cap_net_bind_service=ep
    /p cap_net_bind_service=ep
    /p2 cap_net_bind_service=ep
    /un/p cap_net_bind_service=ep
    /again/g -rwsr-xr-x 1000:2000
    /again/d drwxr-xr-x 5:6
    /again/t drwxr-xr-x 1000:0
    /again/t/by-app -rw-r--r-- 1000:1001
    /again/f -rw-r--r-- 0:0
    ");
}
