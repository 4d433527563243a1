//! Builds with commands by ordinary users: the user namespace that the program makes for itself, where it can be had, and
//! what is said where it cannot.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::program::{Outcome, Program, binary};
use crate::support::tool::{checked, install, require, require_root, run};
use crate::support::traces::names_in;
use crate::support::tree::Tree;

/// The user who has subordinate IDs, and another who has none. Neither is known to the machine itself.
pub const BAKER: u32 = 43_210;
pub const POOR: u32 = 43_211;
/// The group that the user has beside his own.
const MORE: u32 = 43_212;

const PASSWD: &str = "root:x:0:0::/:/bin/sh\nbaker:x:43210:43210::/:/bin/sh\npoor:x:43211:43211::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nbaker:x:43210:\nmore:x:43212:baker\npoor:x:43211:\n";
/// By name and by number, in two ranges.
const SUBORDINATE: &str = "other:100000:65536\nbaker:500000:65000\n43210:600000:536\n";

/// Shows the files of users in `$0` to what is run, and to nobody else.
const USERS: &str = r#"
for name in passwd group subuid subgid; do mount --bind "$0/$name" /etc/$name; done
exec "$@"
"#;

const COMMANDS: &str = "FROM scratch\nCOPY busybox /bin/busybox\n\
                        RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";

/// A world with users of its own, and a context with busybox.
pub struct Bakery {
    users: tempfile::TempDir,
    pub context: tempfile::TempDir,
    pub program: Program,
}

impl Bakery {
    /// None where it cannot be tried.
    pub fn new(tree: Tree) -> Option<Bakery> {
        if !require_root() || !["busybox", "unshare", "setpriv", "newuidmap", "nsenter"].into_iter().all(require) {
            return None;
        }
        let users = tempfile::tempdir().unwrap();
        for (name, text) in [("passwd", PASSWD), ("group", GROUP), ("subuid", SUBORDINATE), ("subgid", SUBORDINATE)] {
            fs::write(users.path().join(name), text).unwrap();
        }
        fs::set_permissions(users.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let busybox = fs::read(run("sh", ["-c", "command -v busybox"]).trim()).unwrap();
        let context = tree.file("busybox", busybox).mode(0o755).plant();
        fs::set_permissions(context.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let bakery = Bakery { users, context, program: Program::new() };
        install(&binary(), &bakery.binary());
        bakery.give_to(BAKER);
        Some(bakery)
    }

    /// What is built follows `steps` of busybox.
    pub fn with(tree: Tree, steps: &str) -> Option<Bakery> {
        let bakery = Self::new(tree)?;
        bakery.dockerfile(&format!("{COMMANDS}{steps}"));
        Some(bakery)
    }

    fn dockerfile(&self, text: &str) {
        fs::write(self.context.path().join("Dockerfile"), text).unwrap();
    }

    fn binary(&self) -> PathBuf {
        self.program.home().join("ocibake")
    }

    pub fn home(&self, name: &str) -> PathBuf {
        self.program.home().join(name)
    }

    /// Makes the home another user's.
    pub fn give_to(&self, user: u32) {
        run("chown", ["-R", &user.to_string(), self.program.home().to_str().unwrap()]);
    }

    /// The program, started with `arguments` by `user` in `ways`, which are words in front of it.
    pub fn command_by(&self, user: u32, ways: &[&str], arguments: &[&str]) -> Command {
        // What stands last is the program that was built, which may lie where nobody else is let in: it is passed over.
        let command = self.program.command_under(&[], arguments);
        let environment: Vec<_> =
            command.get_envs().map(|(name, value)| (name.to_owned(), value.unwrap().to_owned())).collect();
        let directory = command.get_current_dir().unwrap().to_owned();
        let binary = self.binary();
        let mut command = self.starter_by(user, ways, &[&[binary.to_str().unwrap()], arguments].concat());
        command.env_clear().envs(environment).current_dir(directory);
        command
    }

    /// `words`, started by `user` in `ways`, which are words in front of it.
    pub fn starter_by(&self, user: u32, ways: &[&str], words: &[&str]) -> Command {
        let users = self.users.path().to_str().unwrap();
        let (id, groups) = (user.to_string(), format!("{user},{MORE}"));
        let (reuid, regid, groups) = (format!("--reuid={id}"), format!("--regid={id}"), format!("--groups={groups}"));
        let setpriv = ["setpriv", &reuid, &regid, &groups];
        let starter = ["unshare", "--mount", "sh", "-ec", USERS, users];
        let mut command = Command::new(starter[0]);
        command.args(&starter[1..]).args(ways).args(setpriv).args(words);
        command
    }

    pub fn by(&self, user: u32, ways: &[&str], arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command_by(user, ways, arguments))
    }

    pub fn build<'a>(&'a self, flags: &[&'a str]) -> Vec<&'a str> {
        [&["build", self.context.path().to_str().unwrap(), "--platform=linux/amd64"], flags].concat()
    }

    /// What root makes of it, in a store of its own.
    pub fn by_root(&self, flags: &[&str]) -> Outcome {
        Program::new().run(self.build(flags))
    }
}

/// In a user namespace in which no other can be made.
pub const NO_NAMESPACES: &str = r#"
unshare --user --mount sleep 1000 &
until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/$$/ns/user)" ]; do sleep 0.01; done
echo "0 0 4294967295" > /proc/$!/uid_map
echo "0 0 4294967295" > /proc/$!/gid_map
status=0
nsenter --target=$! --user --mount --wd=. sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"' sh "$@" || status=$?
kill $!
exit $status
"#;

#[test]
fn an_ordinary_user_with_subordinate_ids_makes_the_image_that_root_makes() {
    let steps = "COPY a /\nRUN chown 7:8 /a && chown 65000:65536 /bin && mkdir -m 0 /closed && touch /closed/x && chmod u+s /a\n\
                 USER 1000:1000\nRUN id > /tmp/me || mkdir /me 2> /dev/null || true\n";
    let Some(bakery) = Bakery::with(Tree::new().file("a", "1"), steps) else { return };
    let outcome = bakery.by(BAKER, &[], &bakery.build(&["-o", "x.tar"]));
    assert_eq!(outcome.digest(), bakery.by_root(&[]).digest());
    // What it leaves is the user's.
    assert_eq!(fs::metadata(bakery.home("x.tar")).unwrap().uid(), BAKER);
}

#[test]
fn all_of_his_ids_are_those_of_commands_and_no_others() {
    let steps =
        "RUN cat /proc/self/uid_map /proc/self/gid_map | tr -s ' ' > /map && touch /last && chown 65536:65536 /last\n";
    let Some(bakery) = Bakery::with(Tree::new(), steps) else { return };
    bakery.by(BAKER, &[], &bakery.build(&["-o", "type=local,dest=root"])).success();
    let map = " 0 43210 1\n 1 500000 65000\n 65001 600000 536\n";
    assert_eq!(fs::read_to_string(bakery.home("root/map")).unwrap(), [map, map].concat());
    bakery.dockerfile(&format!("{COMMANDS}RUN touch /x && chown 65537 /x\n"));
    bakery.by(BAKER, &[], &bakery.build(&[])).failure(1).says(&["exit code 1", "Invalid argument"]);
}

#[test]
fn files_that_are_written_out_are_the_users() {
    let steps = "RUN touch /x && chown 7:8 /x && chmod 4755 /x && mkdir /d && chown 9:9 /d\n";
    let Some(bakery) = Bakery::with(Tree::new(), steps) else { return };
    let outcome = bakery.by(BAKER, &[], &bakery.build(&["-o", "type=local,dest=root", "-o", "layout/"])).success();
    outcome.says(&["set-user-ID"]);
    for name in ["root", "root/x", "root/d", "root/bin/sh", "layout", "layout/index.json", "layout/blobs"] {
        assert_eq!(fs::symlink_metadata(bakery.home(name)).unwrap().uid(), BAKER, "{name}");
    }
    assert_eq!(fs::metadata(bakery.home("root/x")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn what_only_a_supplementary_group_may_read_is_read() {
    let Some(bakery) = Bakery::with(Tree::new().file("closed", "1"), "COPY closed /\nRUN cat /closed\n") else {
        return;
    };
    let closed = bakery.context.path().join("closed");
    chown(&closed, Some(0), Some(MORE)).unwrap();
    fs::set_permissions(&closed, PermissionsExt::from_mode(0o640)).unwrap();
    let secret = bakery.home("secret");
    fs::write(&secret, "s").unwrap();
    chown(&secret, Some(0), Some(MORE)).unwrap();
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o640)).unwrap();
    bakery.dockerfile(&format!(
        "{COMMANDS}COPY closed /\nRUN --mount=type=secret,id=it test $(cat /run/secrets/it) = s\n"
    ));
    bakery.by(BAKER, &[], &bakery.build(&["--secret", "id=it,src=secret"])).success();
}

#[test]
fn no_namespace_is_made_where_nothing_is_run() {
    let Some(bakery) = Bakery::new(Tree::new().file("a", "1")) else { return };
    if !require("strace") {
        return;
    }
    let strace = ["strace", "-f", "-qq", "-o", "trace", "-e", "trace=unshare,clone,clone3,vfork,fork"];
    let traced = |arguments: &[&str]| {
        fs::write(bakery.home("trace"), "").unwrap();
        fs::set_permissions(bakery.home("trace"), PermissionsExt::from_mode(0o666)).unwrap();
        bakery.by(BAKER, &strace, arguments).success();
        fs::read_to_string(bakery.home("trace")).unwrap()
    };
    for text in ["FROM scratch\nCOPY a /\n", "FROM scratch\nCOPY a /\nONBUILD RUN a\n"] {
        bakery.dockerfile(text);
        let trace = traced(&bakery.build(&[]));
        assert!(!trace.contains("NEWUSER"), "{trace}");
    }
    let trace = traced(&["cache", "prune", "--all"]);
    assert!(!trace.contains("NEWUSER"), "{trace}");
    bakery.dockerfile(&format!("{COMMANDS}RUN true\n"));
    let trace = traced(&bakery.build(&[]));
    assert!(trace.contains("NEWUSER"), "{trace}");
}

#[test]
fn nothing_of_a_path_is_run_for_the_namespace() {
    let Some(bakery) = Bakery::with(Tree::new(), "") else { return };
    let home = bakery.program.home().to_owned();
    for name in ["newuidmap", "newgidmap", "getent", "getsubids"] {
        fs::write(home.join(name), format!("#!/bin/sh\necho {name} >> {}\n", home.join("was-run").display())).unwrap();
        fs::set_permissions(home.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", home.display(), std::env::var("PATH").unwrap());
    let Bakery { users, context, program } = bakery;
    let bakery = Bakery { users, context, program: program.environment("PATH", path) };
    bakery.by(BAKER, &[], &bakery.build(&[])).success();
    bakery.give_to(POOR);
    bakery.by(POOR, &[], &bakery.build(&["--no-cache"])).success();
    assert!(!home.join("was-run").exists());
}

#[test]
fn a_dockerfile_and_a_context_on_standard_input_are_read_once() {
    let Some(bakery) = Bakery::with(Tree::new(), "RUN echo > /made\n") else { return };
    let expected = bakery.by_root(&[]).digest();
    let fed = |arguments: &[&str], input: &[u8]| {
        let mut command = bakery.command_by(BAKER, &[], arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let dockerfile = fs::read(bakery.context.path().join("Dockerfile")).unwrap();
    assert_eq!(fed(&bakery.build(&["-f", "-"]), &dockerfile), expected);
    let tar = Command::new("tar").arg("-C").arg(bakery.context.path()).args(["-c", "."]).output().unwrap().stdout;
    assert_eq!(fed(&["build", "-", "--platform=linux/amd64"], &tar), expected);
    let plain = bakery.by_root(&["-f", "/dev/null"]);
    assert_ne!(plain.code, Some(0));
    // Without a command nothing else happens to it.
    fs::write(bakery.context.path().join("Plain"), "FROM scratch\nCOPY busybox /\n").unwrap();
    let expected = bakery.by_root(&["-f", &format!("{}/Plain", bakery.context.path().display())]).digest();
    assert_eq!(fed(&bakery.build(&["-f", "-"]), b"FROM scratch\nCOPY busybox /\n"), expected);
}

#[test]
fn a_command_that_a_base_brings_is_run_and_nothing_is_said_twice() {
    let Some(bakery) = Bakery::with(Tree::new(), "ONBUILD RUN echo > /made\n") else { return };
    bakery.by(BAKER, &[], &bakery.build(&["-o", "base/"])).success();
    let text = "FROM base\nCOPY busybox /again\nLABEL a=$nothing\n";
    bakery.dockerfile(text);
    let base = format!("--build-context=base=oci-layout://{}", bakery.home("base").display());
    let expected = bakery.by_root(&[&base]).success();
    let outcome = bakery.by(BAKER, &[], &bakery.build(&[&base])).success();
    assert_eq!(outcome.stdout, expected.stdout);
    let warnings = |outcome: &Outcome| outcome.stderr.matches("warning: ").count();
    assert_eq!(warnings(&outcome), warnings(&expected), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("UndefinedVar").count(), 1, "{}", outcome.stderr);
    let mut command = bakery.command_by(BAKER, &[], &bakery.build(&[&base, "-f", "-"]));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected.stdout, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_user_without_subordinate_ids_makes_the_same_image_with_one_and_is_told_why() {
    let steps = "RUN touch /x && chown 7:8 /x && stat -c %u:%g /x > /told\n";
    let Some(bakery) = Bakery::with(Tree::new(), steps) else { return };
    bakery.give_to(POOR);
    let refusal = "/etc/subuid gives poor no subordinate user ids";
    let digest = bakery.by_root(&[]).digest();
    assert_eq!(bakery.by(POOR, &[], &bakery.build(&[])).digest(), digest);
    let told = bakery.by(POOR, &[], &["doctor"]).success().stdout;
    for words in [
        "isolation: single-id, in a user namespace with 1 user and 1 group",
        &format!("not ids: {refusal}"),
        "usermod --add-subuids",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let forced = bakery.by(POOR, &[], &bakery.build(&["--isolation=ids"])).failure(1);
    forced.says(&[&format!("cannot be run with --isolation=ids: {refusal}")]);
    let outcome = bakery.by(POOR, &[], &["doctor", "--json"]).success();
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(document["commands"]["refused"][0]["reason"], refusal);
    assert_eq!(document["commands"]["isolation"], "single-id");
    // What needs no commands is built as ever.
    bakery.dockerfile("FROM scratch\nCOPY busybox /\n");
    bakery.by(POOR, &[], &bakery.build(&[])).success();
}

#[test]
fn who_may_gain_no_rights_falls_to_a_single_id() {
    let steps = "RUN touch /x && chown 7:8 /x && stat -c %u:%g /x > /told\n";
    let Some(bakery) = Bakery::with(Tree::new(), steps) else { return };
    let ways = ["setpriv", "--no-new-privs"];
    assert_eq!(bakery.by(BAKER, &ways, &bakery.build(&[])).digest(), bakery.by_root(&[]).digest());
    let told = bakery.by(BAKER, &ways, &["doctor"]).success().stdout;
    for words in ["isolation: single-id", "not ids: /usr/bin/newuidmap failed: ", "no_new_privs"] {
        assert!(told.contains(words), "{told}");
    }
    let forced = bakery.by(BAKER, &ways, &bakery.build(&["--isolation=ids"])).failure(1);
    forced.says(&["--isolation=ids: /usr/bin/newuidmap failed", "no_new_privs"]);
}

#[test]
fn where_no_namespaces_may_be_made_the_setting_is_named() {
    let Some(bakery) = Bakery::with(Tree::new(), "") else { return };
    let ways = ["sh", "-ec", NO_NAMESPACES, "sh"];
    let outcome = bakery.by(BAKER, &ways, &bakery.build(&[])).failure(1);
    outcome.says(&["ids: cannot make a user namespace: No space left on device", "user.max_user_namespaces"]);
}

#[test]
fn isolation_names_one_way_alone() {
    let Some(bakery) = Bakery::with(Tree::new(), "") else { return };
    let digest = bakery.by_root(&[]).digest();
    assert_eq!(bakery.by(BAKER, &[], &bakery.build(&["--isolation=ids"])).digest(), digest);
    assert_eq!(bakery.by_root(&["--isolation=ids"]).digest(), digest);
    bakery
        .by(BAKER, &[], &bakery.build(&["--isolation=chroot", "--no-cache"]))
        .failure(1)
        .says(&["a command in a chroot needs root"]);
    bakery.by(BAKER, &[], &bakery.build(&["--isolation=vm"])).failure(2).says(&["auto, ids, single-id or chroot"]);
}

#[test]
fn root_without_the_right_to_mount_makes_a_namespace_of_all_its_ids() {
    let Some(bakery) = Bakery::with(Tree::new(), "RUN touch /x && chown 100000:4294967294 /x\n") else { return };
    let expected = bakery.by_root(&[]).digest();
    let program = Program::new();
    let starter = ["setpriv", "--bounding-set=-sys_admin"];
    let outcome = Outcome::of(&mut program.command_under(&starter, bakery.build(&[])));
    assert_eq!(outcome.digest(), expected);
    let doctor = Outcome::of(&mut program.command_under(&starter, ["doctor"])).success();
    assert!(doctor.stdout.contains("4294967295 users"), "{}", doctor.stdout);
}

#[test]
fn doctor_tells_which_way_is_taken() {
    let Some(bakery) = Bakery::new(Tree::new()) else { return };
    let outcome = bakery.by(BAKER, &[], &["doctor"]).success();
    insta::assert_snapshot!(outcome.stdout, @r"
    commands can be run here: in namespaces of their own, on an overlay of the image
    isolation: ids, in a user namespace with 65537 users and 65537 groups
    ");
}

#[test]
fn what_was_unpacked_with_other_ids_is_not_used_and_all_of_it_can_be_removed() {
    let steps =
        "COPY x /\nRUN --mount=type=cache,target=/c ls /c | sed s/^/found:/ && touch /c/kept && chown 5 /c/kept\n";
    let Some(bakery) = Bakery::with(Tree::new().file("x", "1"), steps) else { return };
    let store = bakery.program.store();
    let unpacked = || names_in(&store.join("unpacked"));
    bakery.by(BAKER, &[], &bakery.build(&[])).success();
    let first = unpacked();
    assert!(!first.is_empty());
    // The same user with other subordinate IDs.
    for name in ["subuid", "subgid"] {
        fs::write(bakery.users.path().join(name), "baker:700000:65536\n").unwrap();
    }
    let again = bakery.by(BAKER, &[], &bakery.build(&["--no-cache"])).success();
    assert!(!again.stderr.contains("#2 found:kept"), "{}", again.stderr);
    let third = bakery.by(BAKER, &[], &bakery.build(&["--no-cache"])).success();
    assert!(third.stderr.contains("#2 found:kept"), "{}", third.stderr);
    let both = unpacked();
    assert!(first.iter().all(|name| both.contains(name)) && both.len() == 2 * first.len(), "{both:?}");
    // What belongs to IDs that the user has no more is not his to remove; with them it is.
    for name in ["subuid", "subgid"] {
        fs::write(bakery.users.path().join(name), "baker:500000:65536\nbaker:700000:65536\n").unwrap();
    }
    bakery.by(BAKER, &[], &["cache", "prune", "--all"]).success();
    assert_eq!(unpacked(), [""; 0]);
}

#[test]
fn a_store_of_another_user_is_refused_either_way() {
    let Some(bakery) = Bakery::with(Tree::new(), "RUN mkdir -m 0 /closed && chown 9 /closed\n") else { return };
    let own = bakery.by(BAKER, &[], &bakery.build(&[])).digest();
    // With sudo, HOME and the store may stay the user's.
    let root = bakery.program.run(bakery.build(&[])).failure(1);
    root.says(&["belongs to another user, number 43210", "OCIBAKE_STORE"]);
    assert_eq!(bakery.by(BAKER, &[], &bakery.build(&[])).digest(), own);
    let store = bakery.program.store();
    fs::remove_dir_all(&store).unwrap();
    fs::create_dir(&store).unwrap();
    assert_eq!(bakery.program.run(bakery.build(&[])).digest(), own);
    bakery.by(BAKER, &[], &bakery.build(&[])).failure(1).says(&["belongs to another user, number 0", "OCIBAKE_STORE"]);
    bakery.by(BAKER, &[], &["cache", "prune"]).failure(1).says(&["belongs to another user, number 0"]);
    // In a namespace root has no number.
    for flag in ["--isolation=single-id", "--isolation=ids"] {
        let outcome = bakery.by(BAKER, &[], &bakery.build(&[flag])).failure(1);
        assert!(!outcome.stderr.contains("number"), "{}", outcome.stderr);
        outcome.says(&["belongs to another user\n", "OCIBAKE_STORE"]);
    }
    assert_eq!(bakery.program.run(bakery.build(&[])).digest(), own);
}

/// Runs a script as the user.
fn script_by_baker(directory: &Path, script: &str) {
    let ids = [format!("--reuid={BAKER}"), format!("--regid={BAKER}")];
    let home = directory.to_str().unwrap();
    let words = ["--clear-groups", "env", &format!("HOME={home}"), "sh", "-ec", script];
    checked(Command::new("setpriv").args(ids).args(words).current_dir(directory));
}

#[test]
fn a_checkout_is_what_it_is_outside() {
    let tree = Tree::new().file("a", "1").file(".gitattributes", "a filter=own\n");
    let Some(bakery) = Bakery::with(tree, "COPY a /\nRUN cat /a\n") else { return };
    if !require("git") {
        return;
    }
    let context = bakery.context.path();
    run("chown", ["-R", &BAKER.to_string(), context.to_str().unwrap()]);
    // Nothing but what git has noted of the file says that it was not changed: what the filter does to it, git alone knows.
    let script = "git init -q -b main .; git config filter.own.clean 'sed s/1/2/'; git config user.name me; \
                  git config user.email me@here; sleep 1.1; git add .; git commit -qm one; git status --porcelain";
    script_by_baker(context, script);
    let label = |outcome: Outcome| {
        let digest = outcome.digest();
        let blobs = bakery.program.store().join("blobs/sha256");
        let manifest: Value =
            serde_json::from_slice(&fs::read(blobs.join(digest.strip_prefix("sha256:").unwrap())).unwrap()).unwrap();
        manifest["annotations"]["org.opencontainers.image.revision"].as_str().map(str::to_owned)
    };
    let plain = ["build", context.to_str().unwrap(), "--platform=linux/amd64", "-f", "-"];
    let mut command = bakery.command_by(BAKER, &[], &plain);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "FROM scratch\nCOPY a /\n").unwrap();
    let outside = label(Outcome::of(command.stdin(fs::File::open(file.path()).unwrap())));
    assert!(outside.as_ref().is_some_and(|revision| !revision.contains("dirty")), "{outside:?}");
    assert_eq!(label(bakery.by(BAKER, &[], &bakery.build(&[]))), outside);
    // Root's repository is believed, and that of another user is not.
    let owned_by = |user: u32| run("chown", ["-R", &user.to_string(), context.join(".git").to_str().unwrap()]);
    owned_by(0);
    assert_eq!(label(bakery.by(BAKER, &[], &bakery.build(&[]))), outside);
    owned_by(POOR);
    let outcome = bakery.by(BAKER, &[], &bakery.build(&[]));
    assert!(outcome.stderr.contains("belongs to another user"), "{}", outcome.stderr);
    assert_eq!(label(outcome), None);
    // Nor is it where both it and what it is around are others'.
    run("chown", [MORE.to_string().as_str(), context.to_str().unwrap()]);
    let outcome = bakery.by(BAKER, &[], &bakery.build(&[]));
    assert!(outcome.stderr.contains("belongs to another user"), "{}", outcome.stderr);
}

#[test]
fn programs_that_keep_credentials_are_started_as_the_user() {
    let Some(bakery) = Bakery::new(Tree::new()) else { return };
    let registry = FakeRegistry::scripted(|_| {
        Some(Reply::refusal(401, "UNAUTHORIZED", "no").with("www-authenticate", "Basic realm=\"it\""))
    });
    let home = bakery.program.home().to_owned();
    let helper = home.join("docker-credential-own");
    fs::write(
        &helper,
        "#!/bin/sh\nid -u >> \"$HOME/asked\"\nid -g >> \"$HOME/asked\"\necho '{\"Username\":\"a\",\"Secret\":\"b\"}'\n",
    )
    .unwrap();
    fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    let config = format!("{{\"credHelpers\":{{\"{}\":\"own\"}}}}", registry.address());
    fs::write(bakery.program.docker_config().join("config.json"), config).unwrap();
    let path = format!("{}:{}", home.display(), std::env::var("PATH").unwrap());
    let Bakery { users, context, program } = bakery;
    let bakery = Bakery { users, context, program: program.environment("PATH", path) };
    bakery.give_to(BAKER);
    let asked = || {
        let said = fs::read_to_string(home.join("asked")).unwrap();
        fs::remove_file(home.join("asked")).unwrap();
        said
    };
    for steps in ["RUN true\n", "COPY busybox /\n"] {
        bakery.dockerfile(&format!("FROM {}/org/app\n{steps}", registry.address()));
        bakery.by(BAKER, &[], &bakery.build(&[])).failure(1);
        let said = asked();
        assert!(said.lines().all(|line| line == BAKER.to_string()) && !said.is_empty(), "{steps}: {said}");
    }
    // One that is not there is named.
    fs::remove_file(&helper).unwrap();
    bakery.dockerfile(&format!("FROM {}/org/app\nRUN true\n", registry.address()));
    bakery.by(BAKER, &[], &bakery.build(&[])).failure(1).says(&["cannot start docker-credential-own: "]);
}
