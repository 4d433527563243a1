//! Checkouts that somebody else has laid out, as in an archive with a `.git` in it: they are read, and run nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use ocibake::source::git::checkout;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::git_server::{GitServer, Repository};
use crate::support::program::{NOBODY, Program};
use crate::support::tool::{require, require_root, run};

/// A repository with a file of each kind that git can convert, in one commit.
fn repository(server: &GitServer) -> (Repository, String) {
    let repository = server.repository("app");
    repository.write(".gitattributes", "* filter=bad diff=bad merge=bad\n").write("a", "content").write("sub/b", "b");
    repository.write("Dockerfile", "FROM scratch\nCOPY a /\n");
    let commit = repository.commit(1_500_000_000);
    (repository, commit)
}

/// Nothing is as the index has noted it, though it is the same.
fn touch(directory: &Path) {
    for name in ["a", "sub/b", ".gitattributes"] {
        run("touch", ["-d", "@1400000000", directory.join(name).to_str().unwrap()]);
    }
}

/// The label of the image that is built of `context`.
fn revision(program: &Program, context: &Path) -> String {
    let image = program.images(context, &["--platform=linux/amd64"]).remove(0);
    let labels = &image.config["config"]["Labels"];
    labels["org.opencontainers.image.revision"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn nothing_is_run_that_a_checkout_names() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let (repository, commit) = repository(&server);
    let marker = server.root().join("was-run");
    let bad = format!("touch {}; cat", marker.display());
    let hook = format!("#!/bin/sh\n{bad}\n");
    let included = server.root().join("included");
    fs::write(&included, format!("[core]\n\tfsmonitor = \"{bad}\"\n[filter \"bad\"]\n\tclean = \"{bad}\"\n")).unwrap();
    let config = repository.path().join(".git/config");
    let plain = fs::read_to_string(&config).unwrap();
    for settings in [
        format!("[core]\n\tfsmonitor = \"{bad}\"\n\tfsmonitorHookVersion = 1\n"),
        format!("[filter \"bad\"]\n\tclean = \"{bad}\"\n\tsmudge = \"{bad}\"\n\trequired = true\n"),
        format!("[filter \"bad\"]\n\tprocess = \"{bad}\"\n\trequired = true\n"),
        format!("[diff \"bad\"]\n\ttextconv = \"{bad}\"\n\tcommand = \"{bad}\"\n[diff]\n\texternal = \"{bad}\"\n"),
        format!(
            "[core]\n\tpager = \"{bad}\"\n\tsshCommand = \"{bad}\"\n\tgitProxy = \"{bad}\"\n\taskPass = \"{bad}\"\n"
        ),
        format!("[alias]\n\tstatus = \"!{bad}\"\n\tlog = \"!{bad}\"\n\tconfig = \"!{bad}\"\n"),
        format!("[credential]\n\thelper = \"!{bad}\"\n[gpg]\n\tprogram = \"{bad}\"\n[log]\n\tshowSignature = true\n"),
        format!("[include]\n\tpath = {0}\n[includeIf \"gitdir:/\"]\n\tpath = {0}\n", included.display()),
        format!("[remote \"x\"]\n\turl = \"ext::sh -c {bad}\"\n\tpromisor = true\n[extensions]\n\tpartialClone = x\n"),
        format!("[submodule \"x\"]\n\turl = /x\n\tactive = true\n\tupdate = \"!{bad}\"\n"),
        format!("[trace2]\n\tnormalTarget = {0}\n\teventTarget = {0}\n", marker.display()),
        "[core]\n\thooksPath = .git/hooks\n".to_owned(),
        format!("[core]\n\tworktree = {}\n", server.root().display()),
    ] {
        let hooks = repository.path().join(".git/hooks");
        fs::create_dir_all(&hooks).unwrap();
        for name in ["post-index-change", "post-checkout", "fsmonitor-watchman", "reference-transaction"] {
            fs::write(hooks.join(name), &hook).unwrap();
            fs::set_permissions(hooks.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(&config, format!("{plain}{settings}")).unwrap();
        touch(repository.path());
        assert_eq!(revision(&Program::new(), repository.path()), commit, "{settings}");
        fs::write(repository.path().join("a"), "changed").unwrap();
        assert_eq!(revision(&Program::new(), repository.path()), format!("{commit}-dirty"), "{settings}");
        fs::write(repository.path().join("a"), "content").unwrap();
        assert!(!marker.exists(), "{settings}");
    }
}

#[test]
fn the_files_of_a_bare_repository_are_none_of_a_checkout() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let (inner, _) = repository(&server);
    let marker = server.root().join("was-run");
    let bad = format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = touch {0}\n\
         [filter \"bad\"]\n\tclean = \"touch {0}; cat\"\n",
        marker.display()
    );
    let outer = server.repository("outer");
    let sub = outer.path().join("sub");
    fs::rename(inner.path(), &sub).unwrap();
    fs::write(sub.join(".git/config"), bad).unwrap();
    for name in ["HEAD", "config", "objects", "refs", "index"] {
        fs::rename(sub.join(".git").join(name), sub.join(name)).unwrap();
    }
    fs::remove_dir_all(sub.join(".git")).unwrap();
    outer.write(".gitignore", "none").write("sub/refs/keep", "");
    let mut add = Command::new("git");
    add.arg("-C").arg(outer.path()).args(["-c", "safe.bareRepository=explicit", "add", "--all", "--force"]);
    crate::support::tool::checked(&mut add);
    outer.git(&["commit", "--quiet", "--message", "m"]);
    let commit = outer.git(&["rev-parse", "HEAD"]);
    touch(&sub);
    // Alone they are no checkout at all.
    let alone = tempfile::tempdir().unwrap();
    run("cp", ["--archive", sub.to_str().unwrap(), alone.path().to_str().unwrap()]);
    assert_eq!(revision(&Program::new(), &alone.path().join("sub")), "");
    assert_eq!(revision(&Program::new(), &sub), commit);
    assert!(!marker.exists());
}

#[test]
fn the_environment_leads_to_no_other_repository() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let (repository, commit) = repository(&server);
    let other = server.repository("other");
    other.write("x", "x").commit(1);
    let git_dir = other.path().join(".git");
    for (name, value) in [
        ("GIT_DIR", git_dir.as_path()),
        ("GIT_WORK_TREE", other.path()),
        ("GIT_OBJECT_DIRECTORY", &git_dir.join("objects")),
        ("GIT_INDEX_FILE", &git_dir.join("index")),
        ("GIT_CONFIG_GLOBAL", &git_dir.join("config")),
    ] {
        assert_eq!(revision(&Program::new().environment(name, value), repository.path()), commit, "{name}");
    }
}

#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let (repository, commit) = repository(&server);
    let git_dir = repository.path().join(".git");
    let loose = format!("objects/{}/{}", &commit[..2], &commit[2..]);
    for name in
        ["HEAD", "index", "config", "refs/heads/main", "packed-refs", "commondir", "objects/info/alternates", &loose]
    {
        let path = git_dir.join(name);
        let kept = fs::read(&path).ok();
        for is_link in [false, true] {
            let _ = fs::remove_file(&path);
            if is_link {
                symlink("/dev/zero", &path).unwrap();
            } else {
                run("mkfifo", [&path]);
            }
            // A name that nothing is kept under is not looked for among the packed ones.
            match checkout(repository.path()) {
                Err(error) => assert!(error.message.contains("is not a regular file"), "{name}: {error}"),
                Ok(found) => assert!(name == "packed-refs" && found.is_some(), "{name}"),
            }
        }
        fs::remove_file(&path).unwrap();
        if let Some(kept) = kept {
            fs::write(&path, kept).unwrap();
        }
    }
    assert_eq!(checkout(repository.path()).unwrap().unwrap().revision, commit);
    // The same for what is tracked.
    fs::remove_file(repository.path().join("a")).unwrap();
    run("mkfifo", [repository.path().join("a")]);
    assert!(checkout(repository.path()).unwrap().unwrap().dirty);
}

#[test]
fn what_is_not_of_its_form_is_told_and_not_shown() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let (repository, commit) = repository(&server);
    let git_dir = repository.path().join(".git");
    let loose = format!("objects/{}/{}", &commit[..2], &commit[2..]);
    for (name, content, says) in [
        ("HEAD", "root:secret:0\n", "is not a reference"),
        ("HEAD", "ref: refs/../../secret\n", "is not a reference"),
        ("refs/heads/main", "ref: refs/heads/main\n", "lead to each other"),
        ("index", "secret", "is not an index of git"),
        ("config", "[core]\nrepositoryformatversion = 2\n", "another format"),
        ("config", "[core]\nrepositoryformatversion = 1\n[extensions]\nrefStorage = reftable\n", "a reftable"),
        ("config", "[core]\nrepositoryformatversion = 1\n[extensions]\nobjectFormat = md5\n", "by another digest"),
        ("config", "[core]\nbare\n", "has no work tree"),
        (&loose, "secret", "cannot read"),
    ] {
        let path = git_dir.join(name);
        let kept = fs::read(&path).unwrap();
        // Objects cannot be written to.
        fs::remove_file(&path).unwrap();
        fs::write(&path, content).unwrap();
        let error = checkout(repository.path()).unwrap_err();
        assert!(error.message.contains(says) && !error.message.contains("secret"), "{name}: {error}");
        fs::write(&path, kept).unwrap();
    }
    fs::remove_file(git_dir.join(&loose)).unwrap();
    assert!(checkout(repository.path()).unwrap_err().message.contains(&format!("the commit {commit} is missing")));
    let program = Program::new();
    let outcome = program.run(["build", repository.path().to_str().unwrap()]).success();
    outcome.says(&["warning: cannot take revision, source and commit time from git", "is missing in"]);
}

#[test]
fn a_repository_that_others_put_above_is_not_believed() {
    if !require("git") || !require_root() {
        return;
    }
    let server = GitServer::new();
    let (repository, commit) = repository(&server);
    let sub = repository.path().join("sub");
    assert_eq!(checkout(&sub).unwrap().unwrap().revision, commit);
    chown(repository.path().join(".git"), Some(NOBODY), None).unwrap();
    let error = checkout(&sub).unwrap_err();
    assert!(error.message.contains("belongs to another user (65534)"), "{error}");
    // In what is all another's, it is that other's word.
    chown(&sub, Some(NOBODY), None).unwrap();
    assert_eq!(checkout(&sub).unwrap().unwrap().revision, commit);
}

/// Flips bytes of what git has written. Whatever it becomes, it is read or refused, and soon.
#[test]
fn damage_is_no_panic() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let (repository, commit) = repository(&server);
    repository.write("c", &"c\n".repeat(100)).commit(2);
    repository.git(&["gc", "--quiet", "--aggressive"]);
    repository.git(&["update-index", "--index-version", "4"]);
    let git_dir = repository.path().join(".git");
    let packs = fs::read_dir(git_dir.join("objects/pack")).unwrap().map(|item| item.unwrap().path());
    let mut files: Vec<_> = packs.filter(|path| path.extension().is_none_or(|it| it != "rev")).collect();
    files.extend(["HEAD", "index", "config", "packed-refs"].map(|name| git_dir.join(name)));
    let kept: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(
            &(any::<prop::sample::Index>(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)),
            |(file, flips)| {
                let file = file.index(files.len());
                let mut bytes = kept[file].clone();
                for (at, value) in flips {
                    let at = at.index(bytes.len());
                    bytes[at] = value;
                }
                replace(&files[file], &bytes);
                let _ = checkout(repository.path());
                replace(&files[file], &kept[file]);
                Ok(())
            },
        )
        .unwrap();
    assert_ne!(checkout(repository.path()).unwrap().unwrap().revision, commit);
}

fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn paths_of_an_index_stay_in_the_work_tree() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let (repository, _) = repository(&server);
    let index = repository.path().join(".git/index");
    let bytes = fs::read(&index).unwrap();
    let at = bytes.windows(6).position(|window| window == b"sub/b\0").unwrap();
    let outside: TempDir = tempfile::tempdir().unwrap();
    for path in [b"../ab", b".git/", b"/ab/c", b"a//bc", b"a/../"] {
        let mut bad = bytes.clone();
        bad[at..at + 5].copy_from_slice(path);
        fs::write(&index, bad).unwrap();
        let error = checkout(repository.path()).unwrap_err();
        assert!(error.message.contains("is not an index of git"), "{error}");
    }
    // A link on the way is not a directory.
    fs::write(&index, bytes).unwrap();
    fs::rename(repository.path().join("sub"), outside.path().join("sub")).unwrap();
    symlink(outside.path().join("sub"), repository.path().join("sub")).unwrap();
    assert!(checkout(repository.path()).unwrap().unwrap().dirty);
}
