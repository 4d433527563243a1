//! Users who are not root: what the kernel keeps them from where it has all ids, the supervisor keeps them from where there is
//! one.

use std::fs;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::support::program::{Outcome, Program};
use crate::support::tool::{require, require_root, run};

/// Starts a program as root of a user namespace of its one id.
const ONE_ID: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];
/// Without this right root makes itself a user namespace of all ids: there the kernel takes set-user-ID bits from files that
/// are written to, even by root.
const ALL_IDS: [&str; 2] = ["setpriv", "--bounding-set=-sys_admin"];

struct Bench {
    context: tempfile::TempDir,
    all: Program,
    one: Program,
}

impl Bench {
    /// None where there are no namespaces to be had.
    fn new() -> Option<Bench> {
        if !require_root() || !["gcc", "unshare", "setpriv"].into_iter().all(require) {
            return None;
        }
        let context = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/run/users.c");
        run("gcc", ["-static", "-Os", "-o", context.path().join("users").to_str().unwrap(), source]);
        let dockerfile = "FROM scratch\nCOPY users lines /\nRUN [\"/users\", \"/lines\"]\n";
        fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
        let program = || Program::new().environment("SOURCE_DATE_EPOCH", "0");
        Some(Bench { context, all: program(), one: program() })
    }

    /// Does what `lines` say, with all ids and with one; returns what became of each line and the digest of the image.
    fn outcomes(&self, lines: &[String]) -> [(Vec<String>, String); 2] {
        fs::write(self.context.path().join("lines"), lines.join("\n") + "\n").unwrap();
        let build = ["build", self.context.path().to_str().unwrap(), "--progress=plain", "--isolation"];
        [(&self.all, &ALL_IDS[..], "ids"), (&self.one, &ONE_ID[..], "single-id")].map(
            |(program, starter, isolation)| {
                let arguments = [&build[..], &[isolation]].concat();
                let outcome = Outcome::of(&mut program.command_under(starter, arguments)).success();
                let said = outcome.stderr.lines().filter_map(|line| line.strip_prefix("#1 ")?.split_once(' '));
                let said = said.filter(|(number, _)| number.parse::<usize>().is_ok());
                (said.map(|(_, what)| what.to_owned()).collect(), outcome.digest())
            },
        )
    }
}

/// Makes what the cases are about.
const TREE: &str = "
    0 0 - mkdir /t 0755
    0 0 - open /t/file 0101 0644
    0 0 - mkdir /t/root 0755
    0 0 - open /t/root/file 0101 0644
    0 0 - open /t/root/secret 0101 0600
    0 0 - mkdir /t/closed 0700
    0 0 - open /t/closed/file 0101 0666
    0 0 - chmod /t/closed/file 0666
    0 0 - symlink /t/in closed/file
    0 0 - mkdir /t/app 0755
    0 0 - chown /t/app 1000 1000
    1000 1000 - open /t/app/file 0101 0644
    1000 1000 - mkdir /t/app/dir 0755
    0 0 - mkdir /t/sticky 0777
    0 0 - chmod /t/sticky 01777
    1000 1000 - open /t/sticky/app 0101 0666
    1001 1001 - open /t/sticky/other 0101 0666
    0 0 - mkdir /t/group 0775
    0 0 - chown /t/group 0 2000
    0 0 - chmod /t/group 02775
    0 0 - open /t/group/file 0101 0660
    0 0 - chmod /t/group/file 0660
    0 0 - mkfifo /t/fifo 0600
    0 0 - open /t/program 0101 0744
    0 0 - chmod /t/program 0744
";

/// A line, and what becomes of it.
const CASES: &[(&str, &str)] = &[
    // To read, and to go there.
    ("1000 1000 - open /t/root/secret 0", "EACCES"),
    ("1000 1000 - open /t/root/file 0", "ok"),
    ("1000 1000 - open /t/fifo 0", "EACCES"),
    ("1000 1000 - open /t/closed 0200000", "EACCES"),
    ("1000 1000 - open /t/closed 010000000", "ok"),
    ("1000 1000 - open /t/closed/file 0", "EACCES"),
    ("1000 1000 - open /t/closed/../file 0", "EACCES"),
    ("1000 1000 - open /t/in 0", "EACCES"),
    ("0 0 - open /t/in 0", "ok"),
    ("1000 1000 - stat /t/closed/file", "EACCES"),
    ("1000 1000 - stat /t/in", "EACCES"),
    ("1000 1000 - lstat /t/in", "120777 0:0 ok"),
    ("1000 1000 - readlink /t/in", "ok"),
    ("1000 1000 - readlink /t/closed/file", "EACCES"),
    ("1000 1000 - chdir /t/closed", "EACCES"),
    ("1000 1000 - chdir /t/root file", "ok"),
    ("1000 1000 - exec /t/program", "EACCES"),
    ("0 0 - exec /t/program", "ENOEXEC"),
    ("1000 1000 - open /t/file 01000000", "EPERM"),
    ("1000 1000 - open /t/app/file 01000000", "ok"),
    ("1000 1000 2000 open /t/group/file 2", "ok"),
    ("1000 2000 - open /t/group/file 2", "ok"),
    ("1000 1000 - open /t/group/file 0", "EACCES"),
    // To tell of it.
    ("1000 1000 - access /t/file 2", "EACCES"),
    ("1000 1000 - access /t/file 4", "ok"),
    ("1000 1000 - access /t/closed/file 0", "EACCES"),
    // access(2) asks as who the process really is.
    ("0/1000 1000 - access /t/root/secret 4", "EACCES"),
    ("0/1000 1000 - eaccess /t/root/secret 4", "ok"),
    ("1000/0 1000 - access /t/root/secret 4", "ok"),
    ("1000/0 1000 - eaccess /t/root/secret 4", "EACCES"),
    // For files alone it is another.
    ("+1000 0 - open /t/root/secret 0", "EACCES"),
    ("+1000 0 - access /t/root/secret 4", "ok"),
    // Names.
    ("1000 1000 - unlink /t/root/file", "EACCES"),
    ("1000 1000 - unlink /t/root/none", "ENOENT"),
    ("1000 1000 - unlink /t/closed/none", "EACCES"),
    ("1000 1000 - rmdir /t/root", "EACCES"),
    ("1000 1000 - unlink /t/sticky/other", "EPERM"),
    ("1000 1000 - rename /t/sticky/other /t/app/taken", "EPERM"),
    ("1000 1000 - rename /t/app/file /t/sticky/other", "EPERM"),
    ("1000 1000 - rename /t/root/file /t/app/taken", "EACCES"),
    ("1000 1000 - rename /t/app/file /t/root/given", "EACCES"),
    ("1000 1000 - rename /t/app/dir /t/app/dir/in", "EINVAL"),
    ("1000 1000 - renameat2 /t/app/file /t/root/file 2", "EACCES"),
    ("1000 1000 - rename /t/sticky/app /t/app/taken", "ok"),
    ("1000 1000 - link /t/app/file /t/root/link", "EACCES"),
    ("1000 1000 - link /t/app/file /t/app/link", "ok"),
    ("1000 1000 - unlink /t/app/link", "ok"),
    ("1000 1000 - symlink /t/root/link x", "EACCES"),
    // A link that is itself to be opened, or made.
    ("1001 1001 - symlink /t/sticky/link nowhere", "ok"),
    ("1000 1000 - open /t/sticky/link 0400101 0644", "EACCES"),
    ("0 0 - open /t/sticky/link 0400101 0644", "EACCES"),
    ("1001 1001 - open /t/sticky/link 0400101 0644", "ELOOP"),
    ("1000 1000 - open /t/sticky/link 0400001", "ELOOP"),
    ("1000 1000 - open /t/sticky/link 0400301 0644", "EEXIST"),
    ("1001 1001 - unlink /t/sticky/link", "ok"),
    ("1000 1000 - mkdir /t/closed/none", "EACCES"),
    ("1000 1000 - mkdir /t/root", "EEXIST"),
    ("1000 1000 - open /t/root 0101", "EISDIR"),
    ("1000 1000 - open /t/root/file 0301", "EEXIST"),
    ("1000 1000 - mknod /t/app/null 020666 0x103", "EPERM"),
    ("1000 1000 - mknod /t/root/null 020666 0x103", "EACCES"),
    // What only owners may.
    ("1000 1000 - chmod /t/file 0777", "EPERM"),
    ("1000 1000 - chmod /t/app/file 0600", "ok"),
    ("1000 1000 - times /t/file now", "EACCES"),
    ("1000 1000 - times /t/file both", "EACCES"),
    ("1000 1000 - times /t/file one", "EPERM"),
    ("1000 1000 - times /t/file set", "EPERM"),
    ("1000 1000 - times /t/file none", "ok"),
    ("1000 1000 - times /t/sticky/other now", "EACCES"),
    ("1000 1000 - times /t/app/file set", "ok"),
    ("1000 1000 - open-in /t/file chmod 0777", "EPERM"),
    ("1000 1000 - open-in /t/file times 1", "EPERM"),
    ("1000 1000 - truncate /t/file 0", "EACCES"),
    ("1000 1000 - truncate /t/root 0", "EISDIR"),
    ("1000 1000 - chown /t/app/file 1001 -1", "EPERM"),
    ("1000 1000 - chown /t/app/file -1 2000", "EPERM"),
    ("1000 1000 2000 chown /t/app/file -1 2000", "ok"),
    ("1000 1000 - chown /t/file -1 -1", "ok"),
    // Who does not belong to a group gives it to nobody.
    ("1000 1000 - chmod /t/app/file 02755", "ok"),
    ("0 0 - stat /t/app/file", "100755 1000:2000 ok"),
    ("1000 1000 2000 chmod /t/app/file 02755", "ok"),
    ("0 0 - stat /t/app/file", "102755 1000:2000 ok"),
    ("1000 1000 2000 open /t/group/new 0101 02775", "ok"),
    ("0 0 - stat /t/group/new", "102755 1000:2000 ok"),
    // Attributes.
    ("1000 1000 - set /t/file", "EACCES"),
    ("1000 1000 - set /t/app/file", "ok"),
    ("1000 1000 - get /t/root/secret", "EACCES"),
    ("1000 1000 - set /t/sticky", "EPERM"),
    ("1000 1000 - capability /t/app/file", "EPERM"),
    ("1000 1000 - set-list /t/file 1:6:0 2:6:1000 4:4:0 10:6:0 20:4:0", "EPERM"),
    // Lists of users and groups.
    ("0 0 - set-list /t/root/secret 1:6:0 2:4:1000 4:0:0 8:2:2000 10:6:0 20:0:0", "ok"),
    ("1000 1000 - open /t/root/secret 0", "ok"),
    ("1000 1000 - open /t/root/secret 1", "EACCES"),
    ("1001 1001 2000 open /t/root/secret 1", "ok"),
    ("1001 1001 2000 open /t/root/secret 2", "EACCES"),
    ("1001 1001 - open /t/root/secret 0", "EACCES"),
    ("0 0 - chmod /t/root/secret 0600", "ok"),
    ("1000 1000 - open /t/root/secret 0", "EACCES"),
    ("0 0 - set-default /t/group 1:7:0 2:7:1001 4:5:0 10:7:0 20:0:0", "ok"),
    ("1000 1000 2000 open /t/group/listed 0101 0666", "ok"),
    ("0 0 - stat /t/group/listed", "100660 1000:2000 ok"),
    ("1001 1001 - open /t/group/listed 2", "ok"),
    ("1002 1002 - open /t/group/listed 0", "EACCES"),
    ("0 0 - mkdir /t/group/deeper 0777", "ok"),
    ("0 0 - default /t/group/deeper", "1:7:-1 2:7:1001 4:5:-1 10:7:-1 20:0:-1 ok"),
    ("0 0 - list /t/group/listed", "1:6:-1 2:7:1001 4:5:-1 10:6:-1 20:0:-1 ok"),
    // Capabilities that go along with a program, and those that none can get: CAP_CHOWN and CAP_DAC_OVERRIDE.
    ("0 0 - with 0 chown /t/root/file 1000 1000", "ok"),
    ("0 0 - with 0 open /t/closed/file 0", "EACCES"),
    ("0 0 - with 1 open /t/closed/file 0", "ok"),
    ("0 0 - with 1 chmod /t/closed/file 0600", "EPERM"),
    ("0 0 - without 0 open /t/sticky/other 2", "ok"),
    ("0 0 - chmod /t/sticky/other 0600", "ok"),
    ("0 0 - without 1 open /t/sticky/other 0", "EACCES"),
    ("0 0 - without 0 chown /t/file 1000 1000", "EPERM"),
    ("1000 1000 - without 0 stat /t/file", "EPERM"),
    // Other processes.
    ("1000 1000 - kill 1001 15", "EPERM"),
    ("1000 1000 - kill 0 0", "EPERM"),
    ("1000 1000 - kill 1000 15", "ok"),
    ("1000 1000 - pidfd 1001 15", "EPERM"),
    ("1000/0 1000 - kill 1000 15", "ok"),
    ("1000 1000 - nice 1001", "EPERM"),
    ("1000 1000 - nice 1000", "ok"),
    ("1000 1000 - limit 1001", "EPERM"),
    ("1000 1000 - trace 1001", "EPERM"),
    ("0 0 - memory 1001", "EPERM"),
];

#[test]
fn users_are_kept_from_what_the_kernel_keeps_them_from() {
    let Some(bench) = Bench::new() else { return };
    let tree = TREE.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
    let lines: Vec<String> = tree.chain(CASES.iter().map(|(line, _)| (*line).to_owned())).collect();
    let [all, one] = bench.outcomes(&lines);
    let first = lines.len() - CASES.len();
    assert!(all.0[..first].iter().all(|what| what == "ok"), "{:?}", all.0);
    for (place, (line, wanted)) in CASES.iter().enumerate() {
        assert_eq!(all.0[first + place], *wanted, "the kernel, of {line:?}");
        assert_eq!(one.0[first + place], *wanted, "the supervisor, of {line:?}");
    }
    assert_eq!(all.1, one.1);
}

const USERS: [&str; 10] = [
    "0 0 -",
    "0 0 -",
    "1000 1000 -",
    "1000 1000 2000",
    "1001 1001 2000",
    "1002 2000 1001,1002",
    "+1000 0 -",
    "+1001 1001 2000",
    "1000/0 1000 -",
    "0/1001 1001 -",
];
const IDS: [&str; 6] = ["0", "1000", "1001", "1002", "2000", "-1"];
const MODES: [&str; 16] = [
    "0755", "0700", "0777", "01777", "02775", "0711", "0644", "0600", "0640", "0666", "04755", "0070", "0007", "0000",
    "02750", "0222",
];
const NAMES: [&str; 4] = ["a", "b", "c", "f"];
/// O_RDONLY, O_WRONLY, O_RDWR, and with O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_NOATIME and O_TMPFILE.
const FLAGS: [&str; 16] = [
    "0",
    "0",
    "1",
    "2",
    "0101",
    "0102",
    "0301",
    "01001",
    "01101",
    "0200000",
    "0400000",
    "010000000",
    "01000000",
    "020200001",
    "01000",
    "0400101",
];

fn path() -> impl Strategy<Value = String> {
    let names = prop::collection::vec(select(&NAMES[..]), 1..=3).prop_map(|names| format!("/t/{}", names.join("/")));
    (names, 0..20u8).prop_map(|(path, kind)| match kind {
        0 => path + "/",
        1 => path + "/.",
        2 => path + "/..",
        3 => path.replacen("/t/", "/t/../t/", 1),
        _ => path,
    })
}

fn list() -> impl Strategy<Value = String> {
    let may = || 0..8u8;
    (may(), may(), may(), may(), may(), select(&["1000", "1001"][..]), select(&["1000", "2000"][..]), any::<bool>())
        .prop_map(|(owner, named, group, mask, other, user, named_group, has_group)| {
            let more = if has_group { format!(" 8:{named}:{named_group}") } else { String::new() };
            format!("1:{owner}:0 2:{named}:{user} 4:{group}:0{more} 10:{mask}:0 20:{other}:0")
        })
}

fn operation() -> impl Strategy<Value = String> {
    let one = |name: &'static str| path().prop_map(move |path| format!("{name} {path}"));
    let two = |name: &'static str| (path(), path()).prop_map(move |(from, to)| format!("{name} {from} {to}"));
    let with_mode =
        |name: &'static str| (path(), select(&MODES[..])).prop_map(move |(path, mode)| format!("{name} {path} {mode}"));
    let open = (path(), select(&FLAGS[..]), select(&MODES[..]))
        .prop_map(|(path, flags, mode)| format!("open {path} {flags} {mode}"));
    let own = |name: &'static str| {
        (path(), select(&IDS[..]), select(&IDS[..]))
            .prop_map(move |(path, user, group)| format!("{name} {path} {user} {group}"))
    };
    let ways = &["now", "both", "one", "none", "set"][..];
    let times = (select(&["times", "ltimes"][..]), path(), select(ways))
        .prop_map(|(name, path, how)| format!("{name} {path} {how}"));
    let access = (select(&["access", "eaccess"][..]), path(), 0..8u8)
        .prop_map(|(name, path, wanted)| format!("{name} {path} {wanted}"));
    let link = (path(), select(&["a", "b", "/t/a", "/t/b/c", "../c", "/t/a/", "none"][..]))
        .prop_map(|(path, text)| format!("symlink {path} {text}"));
    let exchange = (path(), path(), select(&["1", "2"][..]))
        .prop_map(|(from, to, flags)| format!("renameat2 {from} {to} {flags}"));
    let opened = (path(), select(&["chmod 0640", "chown 1000 1000", "chdir", "times 0", "times 1", "attribute"][..]))
        .prop_map(|(path, what)| format!("open-in {path} {what}"));
    let in_opened = (path(), select(&NAMES[..]), select(&["openat", "unlinkat"][..]), select(&["0", "0101"][..]))
        .prop_map(|(path, name, what, flags)| match what {
            "openat" => format!("open-in {path} openat {name} {flags}"),
            _ => format!("open-in {path} unlinkat {name} 0"),
        });
    let lists = (select(&["set-list", "set-default"][..]), path(), list())
        .prop_map(|(name, path, list)| format!("{name} {path} {list}"));
    let others = (
        select(&["kill", "pidfd", "trace", "nice", "limit", "memory"][..]),
        select(&["0", "1000", "1001"][..]),
        select(&["0", "15", "18"][..]),
    )
        .prop_map(|(name, user, signal)| format!("{name} {user} {signal}"));
    let simple = select(
        &[
            "unlink",
            "rmdir",
            "stat",
            "lstat",
            "readlink",
            "chdir",
            "exec",
            "get",
            "set",
            "remove",
            "names",
            "capability",
            "remove-list",
            "remove-default",
            "list",
            "default",
        ][..],
    )
    .prop_flat_map(one);
    prop_oneof![
        5 => simple,
        3 => open,
        3 => prop_oneof![with_mode("mkdir"), with_mode("mkfifo"), link],
        2 => prop_oneof![two("link"), two("rename"), exchange],
        3 => prop_oneof![2 => with_mode("chmod"), 2 => own("chown"), 1 => own("lchown")],
        3 => prop_oneof![times, access, opened, in_opened],
        1 => path().prop_map(|path| format!("truncate {path} 0")),
        1 => lists,
        1 => others,
    ]
}

/// A tree of directories and files with owners and modes, and what users do in it.
fn lines() -> impl Strategy<Value = Vec<String>> {
    const MADE: [(&str, &str); 13] = [
        ("a", "mkdir"),
        ("b", "mkdir"),
        ("a/b", "mkdir"),
        ("a/c", "mkdir"),
        ("b/a", "mkdir"),
        ("b/b", "mkdir"),
        ("a/b/c", "mkdir"),
        ("f", "open"),
        ("a/f", "open"),
        ("b/f", "open"),
        ("b/c", "open"),
        ("a/b/f", "open"),
        ("a/a", "open"),
    ];
    const OPEN_MODES: [&str; 8] = ["0755", "0777", "01777", "02777", "0770", "0750", "0711", "03775"];
    let looks = prop::collection::vec((select(&IDS[..]), select(&IDS[..]), select(&OPEN_MODES[..])), MADE.len());
    let done = prop::collection::vec((select(&USERS[..]), operation()), 400);
    // FIFOs have no list with one id, so there are either.
    let without = prop_oneof![Just(&["mkfifo"][..]), Just(&["set-list", "set-default"][..])];
    (looks, done, without).prop_map(|(looks, done, without)| {
        let is_left_out = |what: &str| without.iter().any(|word| what.starts_with(word));
        let mut lines = vec!["0 0 - mkdir /t 0777".to_owned(), "0 0 - chmod /t 0777".to_owned()];
        for ((path, how), (user, group, mode)) in MADE.into_iter().zip(looks) {
            let how = if how == "open" { format!("open /t/{path} 0101 0666") } else { format!("mkdir /t/{path} 0777") };
            lines.push(format!("0 0 - {how}"));
            lines.push(format!("0 0 - chown /t/{path} {user} {group}"));
            lines.push(format!("0 0 - chmod /t/{path} {mode}"));
        }
        let done = done.into_iter().filter(|(_, what)| !is_left_out(what));
        lines.extend(done.map(|(user, what)| format!("{user} {what}")));
        lines
    })
}

#[test]
fn whatever_users_do_becomes_the_same_with_one_id() {
    let Some(bench) = Bench::new() else { return };
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let (mut kept, mut done) = (0, 0);
    for _ in 0..8 {
        let lines = lines().new_tree(&mut runner).unwrap().current();
        let [all, one] = bench.outcomes(&lines);
        assert_eq!(all.0.len(), lines.len());
        // What comes after the first difference follows from it.
        let different = (0..lines.len()).find(|place| all.0[*place] != one.0[*place]);
        if let Some(place) = different {
            let before = lines[..=place].join("\n");
            panic!("{before}\nends with {:?}, and with one id with {:?}", all.0[place], one.0[place]);
        }
        assert_eq!(all.1, one.1, "the trees differ after\n{}", lines.join("\n"));
        kept += all.0.iter().filter(|what| matches!(&what[..], "EACCES" | "EPERM")).count();
        done += all.0.iter().filter(|what| what.ends_with("ok")).count();
    }
    assert!(kept > 100 && done > 100, "{kept} were refused, and {done} done");
}
