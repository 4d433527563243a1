//! What a checkout says of itself is what git says of it, in whatever form git keeps it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use ocibake::source::git::checkout;

use crate::support::tool::{checked, require, run};

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
    command.args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]).args(arguments);
    command.env("HOME", "/nowhere").env("GIT_CONFIG_NOSYSTEM", "1");
    checked(&mut command).trim().to_owned()
}

/// Revision, time, branch and state, from both.
#[track_caller]
fn assert_told_as_git_tells(directory: &Path, case: &str) {
    // First what is read here, for git may write the index anew.
    let found = checkout(directory).unwrap_or_else(|error| panic!("{case}: {error}")).unwrap();
    assert_eq!(found.revision, git(directory, &["rev-parse", "HEAD"]), "{case}");
    assert_eq!(found.commit_time.unwrap().to_string(), git(directory, &["log", "-1", "--format=%ct"]), "{case}");
    assert_eq!(found.branch.map_or(String::new(), |branch| branch.name), git(directory, &["branch", "--show-current"]));
    let status = git(directory, &["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"]);
    assert_eq!(found.dirty, !status.is_empty(), "{case}: {status:?}");
}

/// A repository at `name` with two commits.
fn repository(place: &Path, name: &str, options: &[&str]) -> std::path::PathBuf {
    let path = place.join(name);
    git(place, &[&["init", "--quiet", name], options].concat());
    for (file, content) in [("a", "one\n"), ("b", "b"), ("deep/er/c", "c"), ("deep.d/e", "e"), ("deep/f", "")] {
        fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
        fs::write(path.join(file), content).unwrap();
    }
    symlink("a", path.join("link")).unwrap();
    git(&path, &["add", "--all"]);
    git(&path, &["commit", "--quiet", "--message", &"long words\n".repeat(50)]);
    fs::write(path.join("a"), "two\n").unwrap();
    git(&path, &["commit", "--quiet", "--all", "--message", &format!("{}!", "long words\n".repeat(50))]);
    path
}

#[test]
fn changes_are_those_that_git_sees() {
    if !require("git") {
        return;
    }
    type Change = (&'static str, bool, fn(&Path));
    let changes: &[Change] = &[
        ("nothing", false, |_| ()),
        ("another time", false, |at| drop(run("touch", ["-d", "@1", at.join("a").to_str().unwrap()]))),
        ("another inode", false, |at| {
            fs::write(at.join("x"), "two\n").and_then(|()| fs::rename(at.join("x"), at.join("a"))).unwrap()
        }),
        ("as long", true, |at| fs::write(at.join("a"), "2wo\n").unwrap()),
        ("longer", true, |at| fs::write(at.join("a"), "longer\n").unwrap()),
        ("empty", true, |at| fs::write(at.join("a"), "").unwrap()),
        ("no longer empty", true, |at| fs::write(at.join("deep/f"), "f").unwrap()),
        ("removed", true, |at| fs::remove_file(at.join("b")).unwrap()),
        ("a directory gone", true, |at| fs::remove_dir_all(at.join("deep")).unwrap()),
        ("a directory instead", true, |at| {
            fs::remove_file(at.join("b")).and_then(|()| fs::create_dir(at.join("b"))).unwrap()
        }),
        ("a link instead", true, |at| fs::remove_file(at.join("b")).and_then(|()| symlink("a", at.join("b"))).unwrap()),
        ("a link to a directory instead", true, |at| {
            fs::rename(at.join("deep"), at.join("moved")).and_then(|()| symlink("moved", at.join("deep"))).unwrap();
        }),
        ("another link", true, |at| {
            fs::remove_file(at.join("link")).and_then(|()| symlink("b", at.join("link"))).unwrap()
        }),
        ("executable", true, |at| fs::set_permissions(at.join("b"), fs::Permissions::from_mode(0o755)).unwrap()),
        ("readable", false, |at| fs::set_permissions(at.join("b"), fs::Permissions::from_mode(0o600)).unwrap()),
        ("executable, which is no matter", false, |at| {
            git(at, &["config", "core.fileMode", "false"]);
            fs::set_permissions(at.join("b"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("untracked", false, |at| fs::write(at.join("new"), "").unwrap()),
        ("added", true, |at| {
            fs::write(at.join("new"), "").unwrap();
            git(at, &["add", "new"]);
        }),
        ("to be added", true, |at| {
            fs::write(at.join("new"), "").unwrap();
            git(at, &["add", "--intent-to-add", "new"]);
        }),
        ("removed from the index", true, |at| {
            git(at, &["rm", "--quiet", "--cached", "deep/er/c"]);
        }),
        ("staged and undone", true, |at| {
            fs::write(at.join("a"), "2wo\n").unwrap();
            git(at, &["add", "a"]);
            fs::write(at.join("a"), "two\n").unwrap();
        }),
        ("assumed to be unchanged", false, |at| {
            git(at, &["update-index", "--assume-unchanged", "a"]);
            fs::write(at.join("a"), "longer\n").unwrap();
        }),
        ("not wanted", false, |at| {
            git(at, &["update-index", "--skip-worktree", "a"]);
            fs::remove_file(at.join("a")).unwrap();
        }),
        ("no index", true, |at| fs::remove_file(at.join(".git/index")).unwrap()),
        ("in conflict", true, |at| {
            git(at, &["checkout", "--quiet", "-b", "other", "HEAD^"]);
            fs::write(at.join("a"), "three\n").unwrap();
            git(at, &["commit", "--quiet", "--all", "--message", "m"]);
            let mut merge = Command::new("git");
            merge.arg("-C").arg(at).args(["-c", "user.name=T", "-c", "user.email=t@e.org", "merge", "main"]);
            assert!(!merge.output().unwrap().status.success());
        }),
    ];
    let place = tempfile::tempdir().unwrap();
    let original = repository(place.path(), "original", &[]);
    for version in ["2", "4"] {
        for (case, is_dirty, change) in changes {
            let copy = place.path().join("copy");
            run("cp", ["--archive", original.to_str().unwrap(), copy.to_str().unwrap()]);
            git(&copy, &["update-index", "--index-version", version]);
            change(&copy);
            assert_eq!(checkout(&copy).unwrap().unwrap().dirty, *is_dirty, "{case}, version {version}");
            assert_told_as_git_tells(&copy, case);
            fs::remove_dir_all(&copy).unwrap();
        }
    }
}

#[test]
fn repositories_of_every_form_are_read() {
    if !require("git") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let original = repository(place.path(), "original", &[]);
    let from = format!("file://{}", original.display());
    assert_told_as_git_tells(&original, "loose objects");
    assert_told_as_git_tells(&original.join("deep/er"), "a directory in it");
    git(&original, &["pack-refs", "--all"]);
    assert_told_as_git_tells(&original, "packed references");
    git(&original, &["checkout", "--quiet", "--detach", "HEAD^"]);
    assert_told_as_git_tells(&original, "detached");
    git(&original, &["checkout", "--quiet", "main"]);
    git(&original, &["gc", "--quiet", "--aggressive", "--prune=now"]);
    assert_told_as_git_tells(&original, "packed");
    git(&original, &["checkout", "--quiet", "HEAD^"]);
    assert_told_as_git_tells(&original, "the other commit of the pack");
    git(&original, &["checkout", "--quiet", "main"]);
    // The first version of an index of packs, and changes that name what they change.
    git(
        &original,
        &["-c", "repack.useDeltaBaseOffset=false", "-c", "pack.indexVersion=1", "repack", "-adfq", "--depth=50"],
    );
    for commit in ["HEAD", "HEAD^"] {
        git(&original, &["checkout", "--quiet", commit]);
        assert_told_as_git_tells(&original, "an old pack");
    }
    git(&original, &["checkout", "--quiet", "main"]);
    git(place.path(), &["clone", "--quiet", "--depth=1", &from, "shallow"]);
    assert_told_as_git_tells(&at("shallow"), "shallow");
    git(place.path(), &["clone", "--quiet", "--shared", original.to_str().unwrap(), "shared"]);
    assert_told_as_git_tells(&at("shared"), "objects of another");
    git(&original, &["worktree", "add", "--quiet", "-b", "side", "../linked", "HEAD^"]);
    assert_told_as_git_tells(&at("linked"), "a linked work tree");
    git(&original, &["worktree", "add", "--quiet", "--detach", "../linked2"]);
    fs::write(at("linked2/a"), "changed").unwrap();
    assert_told_as_git_tells(&at("linked2"), "a linked work tree that is changed");
    git(place.path(), &["clone", "--quiet", "--separate-git-dir=elsewhere", &from, "separate"]);
    assert_told_as_git_tells(&at("separate"), "the repository elsewhere");
    git(place.path(), &["clone", "--quiet", "--sparse", &from, "sparse"]);
    assert_told_as_git_tells(&at("sparse"), "sparse");
    git(&at("sparse"), &["sparse-checkout", "set", "--cone", "--sparse-index", "deep.d"]);
    assert!(!at("sparse/deep").exists());
    assert_told_as_git_tells(&at("sparse"), "a sparse index");
    let other = repository(place.path(), "other", &["--object-format=sha256"]);
    assert_told_as_git_tells(&other, "SHA-256");
    git(&other, &["gc", "--quiet"]);
    assert_told_as_git_tells(&other, "SHA-256, packed");
    // As git made it at first.
    fs::remove_file(original.join(".git/HEAD")).unwrap();
    symlink("refs/heads/side", original.join(".git/HEAD")).unwrap();
    assert_told_as_git_tells(&original, "HEAD as a link");
    // Empty directories called .git are passed over.
    fs::create_dir(at("shallow/deep/.git")).unwrap();
    assert_told_as_git_tells(&at("shallow/deep"), "a directory called .git");
}

#[test]
fn what_git_converts_is_no_change() {
    if !require("git") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a");
    git(place.path(), &["init", "--quiet", "a"]);
    fs::write(
        path.join(".gitattributes"),
        "*.txt text eol=crlf\n*.id ident\nboth text eol=crlf ident\n*.bin filter=lfs -text\n",
    )
    .unwrap();
    fs::write(path.join("x.txt"), "one\ntwo\n").unwrap();
    fs::write(path.join("x.id"), "a $Id$ b\n$Id: open\n").unwrap();
    fs::write(path.join("both"), "a $Id$\nb\n").unwrap();
    let content = "large\n".repeat(1000);
    let digest = crate::support::listing::digest(content.as_bytes()).1;
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {}\n", content.len());
    fs::write(path.join("x.bin"), pointer).unwrap();
    git(&path, &["add", "--all"]);
    git(&path, &["commit", "--quiet", "--message", "m"]);
    // What git checks out is longer. The filter is set for git alone; `cat` stands for the one that fetches.
    let large = place.path().join("large");
    fs::write(&large, &content).unwrap();
    let smudge = format!("filter.lfs.smudge=cat >/dev/null; cat {}", large.display());
    let names = ["x.txt", "x.id", "both", "x.bin"];
    names.iter().for_each(|name| fs::remove_file(path.join(name)).unwrap());
    git(&path, &["-c", &smudge, "checkout", "--", "."]);
    assert_eq!(fs::read_to_string(path.join("x.txt")).unwrap(), "one\r\ntwo\r\n");
    assert!(fs::read_to_string(path.join("both")).unwrap().starts_with("a $Id: "));
    assert_eq!(fs::read_to_string(path.join("x.bin")).unwrap(), content);
    assert!(!checkout(&path).unwrap().unwrap().dirty);
    for name in names {
        run("touch", ["-d", "@1", path.join(name).to_str().unwrap()]);
    }
    assert!(!checkout(&path).unwrap().unwrap().dirty);
    for name in names {
        let kept = fs::read(path.join(name)).unwrap();
        let mut changed = kept.clone();
        changed[0] ^= 1;
        fs::write(path.join(name), changed).unwrap();
        assert!(checkout(&path).unwrap().unwrap().dirty, "{name}");
        fs::write(path.join(name), kept).unwrap();
    }
}

#[test]
fn submodules_are_a_part_of_their_checkout() {
    if !require("git") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    repository(place.path(), "inner", &[]);
    let outer = repository(place.path(), "outer", &[]);
    git(&outer, &["submodule", "--quiet", "add", "../inner", "sub"]);
    git(&outer, &["commit", "--quiet", "--all", "--message", "m"]);
    let sub = outer.join("sub");
    assert_told_as_git_tells(&outer, "a submodule");
    assert_told_as_git_tells(&sub, "from within");
    fs::write(sub.join("new"), "").unwrap();
    assert_told_as_git_tells(&outer, "untracked in it");
    fs::write(sub.join("a"), "2wo\n").unwrap();
    assert!(checkout(&outer).unwrap().unwrap().dirty);
    assert_told_as_git_tells(&outer, "changed in it");
    for how_much in ["untracked", "dirty", "all"] {
        git(&outer, &["config", "submodule.sub.ignore", how_much]);
        assert_told_as_git_tells(&outer, how_much);
    }
    git(&outer, &["config", "--unset", "submodule.sub.ignore"]);
    git(&sub, &["checkout", "--quiet", "--force", "HEAD^"]);
    assert!(checkout(&outer).unwrap().unwrap().dirty);
    assert_told_as_git_tells(&outer, "another commit in it");
    git(&outer, &["submodule", "--quiet", "deinit", "--force", "--all"]);
    assert_told_as_git_tells(&outer, "not checked out");
    fs::remove_dir(&sub).unwrap();
    assert_told_as_git_tells(&outer, "not there");
}
