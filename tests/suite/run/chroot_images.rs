//! Dockerfiles on every rung that is had by root: on overlays, on copies, and in a chroot. The images are the same.

use std::fs;

use super::single_id::ONE_ID;
use crate::support::overlay::OnOverlay;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{install, require, require_root, run};
use crate::support::traces::assert_store_is_sound;
use crate::support::tree::Tree;

/// Takes the right to mount, and with it the namespaces.
pub const WITHOUT_MOUNTS: [&str; 5] = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];

const BUSYBOX: &str = "FROM scratch AS busybox\nCOPY busybox /bin/busybox\n\
                       RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\nFROM busybox\n";

/// Builds `steps` on overlays, on copies, in a chroot, and with a single id; the latter two with a store on an overlay, too. All
/// have to come out the same.
#[track_caller]
fn assert_same(tree: Tree, steps: &str, flags: &[&str]) {
    if !require_root() || !require("busybox") || !require("setpriv") {
        return;
    }
    let busybox = fs::read(run("sh", ["-c", "command -v busybox"]).trim()).unwrap();
    let context = tree.file("busybox", busybox).mode(0o755).plant();
    fs::write(context.path().join("Dockerfile"), format!("{BUSYBOX}{steps}")).unwrap();
    let arguments = [&["build", context.path().to_str().unwrap(), "--platform=linux/amd64"], flags].concat();
    let built = |program: &Program, starter: &[&str], isolation: &str, more: &[&str]| {
        let isolation = format!("--isolation={isolation}");
        let isolation = isolation.as_str();
        let arguments = [arguments.as_slice(), &[isolation], more].concat();
        Outcome::of(&mut program.command_under(starter, &arguments)).digest()
    };
    let again = |program: &Program, starter: &[&str], isolation: &str| {
        let digest = built(program, starter, isolation, &[]);
        // Nothing is taken from what was remembered, and the same comes out.
        assert_eq!(built(program, starter, isolation, &["--no-cache"]), digest, "{isolation}");
        digest
    };
    let program = Program::new();
    let digest = again(&program, &[], "ids");
    let on_overlay = |starter: &[&str], isolation: &str| {
        let overlay = OnOverlay::new();
        let program = Program::new().environment("OCIBAKE_STORE", overlay.path());
        assert_eq!(built(&program, starter, isolation, &[]), digest, "{isolation}, with a store on an overlay");
    };
    on_overlay(&[], "ids");
    // Whatever the umask is.
    let chroot = Program::new().umask(0o077);
    assert_eq!(again(&chroot, &WITHOUT_MOUNTS, "chroot"), digest, "in a chroot");
    on_overlay(&WITHOUT_MOUNTS, "chroot");
    let single = Program::new();
    assert_eq!(built(&single, &ONE_ID, "single-id", &[]), digest, "with a single id");
    on_overlay(&ONE_ID, "single-id");
    assert_store_is_sound(&chroot.store());
}

#[test]
fn what_commands_change_is_the_same() {
    let tree = Tree::new().file("files/kept", "kept").file("files/gone", "").file("files/changed", "old");
    let steps = "COPY files /files/\n\
                 RUN rm /files/gone && echo new > /files/changed && mkdir -m 700 /files/made && ln -s kept /files/link \
                 && ln /files/kept /files/hard && chown 7:8 /files/kept && mkfifo /files/fifo\n\
                 RUN rm -r /files/made && mkdir /files/made && chmod 750 /files && echo x >> /files/hard\n\
                 COPY files/kept /files/made/new\n\
                 RUN mv /files/made /files/moved && rm -r /files/link && mkdir -p /files/link/deep && touch /files/moved/new\n\
                 USER 1000:7\nWORKDIR /home/app\nRUN id > /tmp-id 2>/dev/null || echo refused; pwd\n\
                 USER root\nRUN chown -R 1000 /files && chmod -R go-rwx /files\n";
    assert_same(tree, steps, &[]);
}

#[test]
fn what_is_no_change_is_none() {
    // A file that is opened to be written to, rewritten as it was, or given the mode that it has.
    let steps = "COPY a b c /\nRUN : >> /a && chmod 644 /b && touch -r /c /r && echo -n 3 > /c && touch -r /r /c && rm /r \
                 && mkdir /d && rmdir /d\nRUN rm /a && cp /b /a && echo 1 > /new\n";
    assert_same(Tree::new().file("a", "1").file("b", "2").file("c", "3"), steps, &[]);
}

#[test]
fn the_same_size_and_time_and_attributes_alone_are_found() {
    // `setfattr` is none of busybox' programs, and a mode shows the same.
    let steps = "COPY a b /\nRUN touch -r /a /r && echo -n 2 > /a && touch -r /r /a && rm /r\n\
                 RUN chmod 600 /b\nRUN chown 5:6 /a\n";
    assert_same(Tree::new().file("a", "1").file("b", "1"), steps, &[]);
}

#[test]
fn files_that_are_provided_are_left_out_or_are_the_images() {
    let steps = "RUN mkdir -p /etc && echo of the image > /etc/hosts.new && mv /etc/hosts.new /etc/hosts\n\
                 RUN grep localhost /etc/hosts && ls /etc\nRUN rm /etc/resolv.conf && ln -s ../run/x /etc/resolv.conf\n\
                 RUN test -f /etc/resolv.conf && echo 1.2.3.4 me >> /etc/hosts\nRUN echo > /other\n";
    assert_same(Tree::new(), steps, &[]);
}

#[test]
fn mounts_leave_the_same() {
    let tree = Tree::new().file("lib/a", "library").file("token", "s3cret");
    let steps = "RUN --mount=type=bind,source=lib,target=/lib --mount=type=tmpfs,target=/scratch \
                 --mount=type=secret,id=token --mount=type=cache,target=/cache \
                 cat /lib/a > /told && wc -c < /run/secrets/token >> /told && echo > /cache/kept && echo > /scratch/x\n\
                 RUN --mount=type=cache,target=/cache ls /cache > /told2\n\
                 RUN --mount=type=bind,source=lib,target=/lib,rw echo changed > /lib/a\n\
                 RUN <<EOF\n#!/bin/sh\necho script > /script\nEOF\n\
                 RUN --network=none echo > /last\n";
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "s3cret").unwrap();
    assert_same(tree, steps, &["--secret", &format!("id=token,src={}", secret.path().display())]);
}

#[test]
fn stages_that_branch_have_roots_of_their_own() {
    let steps = "RUN echo base > /base\nFROM busybox AS one\nRUN echo 1 > /own && rm /bin/vi\nRUN echo 11 >> /own\n\
                 FROM one AS two\nRUN echo 2 >> /own\nFROM one AS three\nRUN echo 3 >> /own && rm /bin/wc\n\
                 FROM one\nCOPY --from=two /own /two\nCOPY --from=three /own /three\nRUN cat /own /two /three > /all && ls /bin > /list\n";
    assert_same(Tree::new(), steps, &[]);
}

#[test]
fn two_stages_take_turns_with_a_cache_in_a_chroot() {
    if !require_root() || !require("busybox") || !require("setpriv") {
        return;
    }
    let context = Tree::new().plant();
    install("/bin/busybox".as_ref(), &context.path().join("busybox"));
    let stage = |name: &str, first: &str, second: &str| {
        let mount = |id: &str| format!("--mount=type=cache,id={id},target=/{id}");
        format!(
            "FROM busybox AS {name}\nRUN {} {} for i in 1 2 3 4 5; do n=$(cat /x/n || echo 0); sleep 0.02; echo $((n + 1)) > /x/n; done; \
             cp /x/n /{name}\n",
            mount(first),
            mount(second)
        )
    };
    let base = BUSYBOX.trim_end_matches("FROM busybox\n");
    let stages = [stage("one", "x", "y"), stage("two", "y", "x")].concat();
    let last = "FROM busybox\nCOPY --from=one /one /\nCOPY --from=two /two /\n";
    fs::write(context.path().join("Dockerfile"), format!("{base}{stages}{last}")).unwrap();
    let program = Program::new();
    let root = context.path().join("root");
    let output = format!("type=local,dest={}", root.display());
    let context_path = context.path().to_str().unwrap();
    let flags = ["--platform=linux/amd64", "--isolation=chroot", "--jobs=2", "-o", &output];
    let arguments = [&["build", context_path][..], &flags].concat();
    Outcome::of(&mut program.command_under(&WITHOUT_MOUNTS, &arguments)).success();
    let mut told = ["one", "two"].map(|name| fs::read_to_string(root.join(name)).unwrap().trim().to_owned());
    told.sort();
    assert_eq!(told, ["10", "5"]);
    let twice = format!("{BUSYBOX}RUN --mount=type=cache,id=x,target=/x --mount=type=cache,id=x,target=/y true\n");
    fs::write(context.path().join("Dockerfile"), twice).unwrap();
    let outcome = Outcome::of(&mut program.command_under(&WITHOUT_MOUNTS, arguments)).failure(1);
    outcome.says(&["the command mounts the cache `x` twice"]);
}
