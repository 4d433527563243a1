//! Contexts and sources that are git repositories, served by git itself.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ocibake::error::{Error, ErrorKind};
use ocibake::net::Stop;
use ocibake::plan::GitUrl;
use ocibake::source::git::{Fetched, fetch};
use ocibake::store::LocalStore;
use tempfile::TempDir;

use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::git_server::GitServer;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{require, run_with_input};

fn store() -> (TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path().join("store")).unwrap();
    (directory, store)
}

fn fetched(url: &str, store: &LocalStore) -> Result<Fetched, Error> {
    fetch(&GitUrl::of_source(url).unwrap().unwrap(), false, None, store, &Stop::default())
}

/// Paths and contents; a link's is its target.
fn files(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for item in fs::read_dir(directory).unwrap() {
            let path = item.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_symlink() {
                found.insert(name, fs::read_link(&path).unwrap().display().to_string());
            } else if path.is_dir() {
                left.push(path);
            } else {
                found.insert(name, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned());
            }
        }
    }
    found
}

fn listed(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

#[test]
fn branches_tags_commits_and_directories_are_fetched() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let repository = server.repository("app.git");
    let first = repository.write("a", "1").write("sub/dir/b", "1").commit(1_500_000_000);
    repository.git(&["tag", "v1"]);
    repository.git(&["tag", "--annotate", "--message=m", "v1-annotated"]);
    repository.git(&["branch", "old"]);
    repository.git(&["update-ref", "refs/pull/7/head", "HEAD"]);
    let second = repository.write("a", "2").commit(1_600_000_000);
    // Of a branch and a tag with one name the branch is meant.
    repository.git(&["branch", "both"]);
    repository.git(&["tag", "both", &first]);
    let (_directory, store) = store();
    let annotated = repository.git(&["rev-parse", "v1-annotated"]);
    for (wanted, commit, branch) in [
        ("", &second, Some(("main", true))),
        ("#main", &second, Some(("main", true))),
        ("#refs/heads/old", &first, Some(("old", false))),
        ("#v1", &first, None),
        ("#v1-annotated", &first, None),
        (&format!("?checksum={}", &annotated[..12]), &first, None),
        ("#refs/pull/7/head", &first, None),
        ("#pull/7/head", &first, None),
        ("#both", &second, Some(("both", false))),
        ("?tag=both", &first, None),
        (&format!("#{first}"), &first, None),
        (&format!("?ref=v1&checksum={}", &first[..10]), &first, None),
    ] {
        let url = format!("{}{wanted}", server.url("app.git"));
        if wanted.starts_with("?checksum") {
            // That alone is about the default branch, which is at another commit.
            assert_eq!(fetched(&url, &store).unwrap_err().kind, ErrorKind::Integrity);
            continue;
        }
        let fetched = fetched(&url, &store).unwrap_or_else(|error| panic!("{wanted}: {error}"));
        assert_eq!(&fetched.checkout.revision, commit, "{wanted}");
        let found = fetched.checkout.branch.as_ref().map(|branch| (branch.name.as_str(), branch.is_default));
        assert_eq!(found, branch, "{wanted}");
        let time = if commit == &first { 1_500_000_000 } else { 1_600_000_000 };
        assert_eq!(fetched.checkout.commit_time, Some(time), "{wanted}");
        let content = if commit == &first { "1" } else { "2" };
        assert_eq!(files(&fetched.root), listed(&[("a", content), ("sub/dir/b", "1")]), "{wanted}");
    }
    let below = fetched(&format!("{}#v1:sub/dir", server.url("app.git")), &store).unwrap();
    assert_eq!(files(&below.root), listed(&[("b", "1")]));
    // All of it goes with what was returned.
    drop(below);
    assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn modes_are_gits_and_not_those_of_the_umask() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let repository = server.repository("a.git");
    repository.write("plain", "").write("program", "").write("d/x", "");
    fs::set_permissions(repository.path().join("program"), fs::Permissions::from_mode(0o755)).unwrap();
    repository.commit(1);
    let (_directory, store) = store();
    let fetched = fetched(&server.url("a.git"), &store).unwrap();
    let mode = |name: &str| fs::metadata(fetched.root.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("plain"), mode("program"), mode("d")], [0o644, 0o755, 0o755]);
}

#[test]
fn submodules_come_along_unless_they_are_not_wanted() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    server.repository("inner.git").write("i", "inner").commit(1);
    let middle = server.repository("middle.git");
    middle.write("m", "middle");
    middle.git(&["-c", "protocol.git.allow=always", "submodule", "add", "--quiet", &server.url("inner.git"), "deep"]);
    middle.commit(1);
    let outer = server.repository("outer.git");
    outer.git(&["-c", "protocol.git.allow=always", "submodule", "add", "--quiet", &server.url("middle.git"), "mid"]);
    // One that is relative to where the outer one is.
    let relative = fs::read_to_string(outer.path().join(".gitmodules")).unwrap();
    fs::write(outer.path().join(".gitmodules"), relative.replace(&server.url("middle.git"), "../middle.git")).unwrap();
    outer.commit(1);
    let (_directory, store) = store();
    let found = fetched(&server.url("outer.git"), &store).unwrap();
    let names: Vec<String> = files(&found.root).into_keys().collect();
    assert_eq!(names, [".gitmodules", "mid/.gitmodules", "mid/deep/i", "mid/m"]);
    let without = fetched(&format!("{}?submodules=false", server.url("outer.git")), &store).unwrap();
    assert_eq!(files(&without.root).into_keys().collect::<Vec<_>>(), [".gitmodules"]);
}

#[test]
fn a_submodule_cannot_reach_for_files_or_start_programs() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let (_directory, store) = store();
    let marker = server.root().join("was-run");
    let private = server.repository("private.git");
    let commit = private.write("secret", "s").commit(1);
    let on_disk = private.path().display().to_string();
    for (number, url) in [
        format!("file://{on_disk}"),
        on_disk.clone(),
        format!("ext::sh -c touch% {}", marker.display()),
        format!("--upload-pack=touch {}", marker.display()),
        format!("ssh://-oProxyCommand=touch%20{}/x", marker.display()),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("hostile{number}.git");
        let repository = server.repository(&name);
        repository.write(".gitmodules", &format!("[submodule \"x\"]\n\tpath = x\n\turl = {url}\n"));
        repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},x")]);
        repository.git(&["add", ".gitmodules"]);
        repository.git(&["commit", "--quiet", "--message", "m"]);
        let error = fetched(&server.url(&name), &store).unwrap_err();
        assert!(error.message.contains("cannot fetch the submodules"), "{url}: {error}");
        assert!(!marker.exists(), "{url}");
    }
}

/// The program itself, for whom the environment counts.
#[test]
fn neither_the_users_settings_nor_the_umask_count() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let repository = server.repository("a.git");
    repository
        .write(".gitattributes", "* filter=bad\n")
        .write("a", "a")
        .write("Dockerfile", "FROM scratch\nCOPY a /\n");
    repository.commit(1_500_000_000);
    let home = tempfile::tempdir().unwrap();
    let marker = home.path().join("was-run");
    let touch = format!("touch {}", marker.display());
    let settings = format!(
        "[filter \"bad\"]\n\tsmudge = {touch}\n\trequired = true\n[core]\n\tfsmonitor = {touch}\n\tgitProxy = {touch}\n\
         [url \"https://elsewhere.example/\"]\n\tinsteadOf = git://\n"
    );
    fs::write(home.path().join(".gitconfig"), settings).unwrap();
    let url = server.url("a.git");
    let expected = Program::new().run(["build", &url]).digest();
    let unusual = Program::new().environment("HOME", home.path()).environment("GIT_PROXY_COMMAND", &touch).umask(0o077);
    assert_eq!(unusual.run(["build", &url]).digest(), expected);
    assert!(!marker.exists());
}

#[test]
fn the_git_directory_is_kept_where_it_is_wanted_and_tells_no_password() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let repository = server.repository("a.git");
    let commit = repository.write("a", "a").write("sub/b", "b").commit(1);
    repository.git(&["tag", "v1"]);
    let (_directory, store) = store();
    let secret = server.url("a.git").replace("git://", "git://me:s3cret@");
    // Git's own protocol knows no users.
    for url in [format!("{}?keep-git-dir=true#v1", server.url("a.git")), format!("{secret}?keep-git-dir=1#v1")] {
        let found = fetched(&url, &store).unwrap();
        let git = |arguments: &[&str]| {
            crate::support::tool::run("git", [&["-C", found.root.to_str().unwrap()], arguments].concat())
        };
        assert_eq!(git(&["rev-parse", "HEAD"]).trim(), commit);
        assert_eq!(git(&["status", "--porcelain"]), "");
        assert_eq!(git(&["remote", "get-url", "origin"]).trim(), server.url("a.git"));
        assert_eq!(git(&["describe", "--tags"]).trim(), "v1");
        assert!(!found.root.join(".git/hooks").exists() && !found.root.join(".git/FETCH_HEAD").exists());
    }
    let below = fetched(&format!("{}?keep-git-dir=true&subdir=sub", server.url("a.git")), &store).unwrap();
    assert_eq!(files(&below.root), listed(&[("b", "b")]));
}

#[test]
fn what_is_not_there_is_told_in_gits_words_and_without_a_password() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let repository = server.repository("a.git");
    let commit = repository.write("a", "a").commit(1);
    std::os::unix::fs::symlink("/etc", repository.path().join("out")).unwrap();
    repository.commit(2);
    let (_directory, store) = store();
    let other = if commit.starts_with('0') { "1".repeat(40) } else { "0".repeat(40) };
    for (wanted, kind, says) in [
        ("a.git#nothing", ErrorKind::NotFound, "it has no branch and no tag `nothing`"),
        ("a.git#0123456", ErrorKind::NotFound, "it has no branch and no tag `0123456`"),
        ("a.git#:none", ErrorKind::NotFound, "it has no directory `none`"),
        ("a.git#:a", ErrorKind::NotFound, "it has no directory `a`"),
        ("a.git#:out", ErrorKind::Input, "leads out of it"),
        ("none.git", ErrorKind::Input, "fatal: remote error"),
        (&format!("a.git#{other}"), ErrorKind::NotFound, "it has no such commit"),
        ("a.git?ref=main&checksum=00000000", ErrorKind::Integrity, "is the commit"),
    ] {
        let error = fetched(&server.url(wanted), &store).unwrap_err();
        assert_eq!(error.kind, kind, "{wanted}: {error}");
        assert!(error.message.contains(says), "{wanted}: {error}");
    }
    let refusing = FakeRegistry::scripted(|_| Some(Reply::status(401).with("www-authenticate", "Basic realm=x")));
    let url = format!("http://me:s3cret@{}/a.git", refusing.address());
    let error = fetched(&url, &store).unwrap_err();
    let all = format!("{error:?} {error}");
    assert!(!all.contains("s3cret") && !all.contains("me:"), "{all}");
    assert!(error.hint.is_some_and(|hint| hint.contains("login")), "{all}");
    assert!(refusing.requests().iter().any(|request| request.header("authorization").is_some()), "it was tried");
}

#[test]
fn a_server_of_plain_files_is_fetched_from_without_a_shallow_clone() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let repository = server.repository("a");
    let first = repository.write("a", "1").commit(1);
    let second = repository.write("a", "2").commit(2);
    repository.git(&["update-server-info"]);
    let git_dir = repository.path().join(".git");
    let plain = FakeRegistry::scripted(move |request| {
        let path = git_dir.join(request.path.strip_prefix("/a.git/")?);
        let found = fs::read(path).ok().map(|bytes| Reply::Answer(200, Vec::new(), bytes));
        Some(found.unwrap_or(Reply::status(404)))
    });
    let (_directory, store) = store();
    let url = format!("http://{}/a.git", plain.address());
    assert_eq!(fetched(&url, &store).unwrap().checkout.revision, second);
    let old = fetched(&format!("{url}#{first}"), &store).unwrap();
    assert_eq!((&old.checkout.revision, &files(&old.root)["a"][..]), (&first, "1"));
    // The beginning of a commit is what the default branch, or what was asked for, is to be.
    let checked = |query: &str| fetched(&format!("{url}?{query}"), &store);
    assert_eq!(checked(&format!("commit={}", &second[..8])).unwrap().checkout.revision, second);
    assert_eq!(checked(&format!("checksum={}", &second[..7])).unwrap().checkout.revision, second);
    assert_eq!(checked(&format!("branch=main&commit={}", &second[..8])).unwrap().checkout.revision, second);
    assert_eq!(checked(&format!("commit={first}")).unwrap().checkout.revision, first, "all of it can be asked for");
    for query in [format!("commit={}", &first[..8]), "commit=00000000".to_owned()] {
        let error = checked(&query).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Integrity, "{error:?}");
        assert!(error.message.contains(&second), "{error:?}");
    }
}

#[test]
fn commits_that_a_server_does_not_give_alone_are_fetched_with_all_others() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let repository = server.repository("a.git");
    let first = repository.write("a", "1").commit(1);
    repository.write("a", "2").commit(2);
    // Version 2 of the protocol gives every commit; the older one only with the server's consent.
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "false"]);
    let (_directory, store) = store();
    let found = fetched(&format!("{}#{first}", server.url("a.git")), &store).unwrap();
    assert_eq!(files(&found.root)["a"], "1");
    assert!(server.connections() > 0);
}

/// Serves what git needs of repositories at `root` as plain files, to `user` with `password` alone.
fn serve_to(root: std::path::PathBuf, user: &str, password: &str) -> FakeRegistry {
    let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    FakeRegistry::scripted(move |request| {
        if request.header("authorization") != Some(&expected) {
            return Some(Reply::status(401).with("www-authenticate", "Basic realm=x"));
        }
        let path = request.path.split('?').next().unwrap_or_default();
        let (name, file) = path.trim_start_matches('/').split_once(".git/")?;
        let found = fs::read(root.join(name).join(".git").join(file)).ok();
        Some(found.map_or(Reply::status(404), |bytes| Reply::Answer(200, Vec::new(), bytes)))
    })
}

#[test]
fn a_password_is_in_no_argument_of_any_process() {
    if !require("git") || !require("strace") {
        return;
    }
    let server = GitServer::new();
    let inner = server.repository("inner");
    let commit = inner.write("i", "inner").commit(1);
    let outer = server.repository("outer");
    let plain = serve_to(server.root().to_owned(), "me", "s3cr%t/");
    let address = format!("http://me:s3cr%25t%2F@{}", plain.address());
    // The submodule's has it, too.
    outer
        .write("o", "outer")
        .write(".gitmodules", &format!("[submodule \"x\"]\n\tpath = x\n\turl = {address}/inner.git\n"));
    outer.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},x")]);
    outer.git(&["add", ".gitmodules", "o"]);
    outer.git(&["commit", "--quiet", "--message", "m"]);
    for repository in [&inner, &outer] {
        repository.git(&["update-server-info"]);
    }
    let context = tempfile::tempdir().unwrap();
    let dockerfile = format!("FROM scratch\nADD --keep-git-dir=true {address}/outer.git /x/\n");
    fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
    let log = context.path().join("log");
    let tracer = ["strace", "-f", "-qq", "-s", "100000", "-e", "trace=execve", "-o", log.to_str().unwrap()];
    let program = Program::new().directory(context.path());
    let build = ["build", context.path().to_str().unwrap(), "-o", "type=local,dest=out"];
    let outcome = Outcome::of(&mut program.command_under(&tracer, build)).success();
    let read = |name: &str| fs::read_to_string(context.path().join("out/x").join(name)).unwrap();
    assert_eq!((read("o"), read("x/i")), ("outer".to_owned(), "inner".to_owned()));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("git-remote-http") || log.contains("remote-http"), "git fetched");
    assert!(log.contains("inner.git"), "the submodule's address is an argument");
    let kept = read(".git/config") + &read(".git/modules/x/config");
    for text in [log, outcome.stderr, kept] {
        assert!(!text.contains("s3cr"), "{text}");
    }
    // Nor is it left behind.
    let left = crate::support::traces::all_files(&program.store());
    let has_password = |path: &std::path::PathBuf| fs::read(path).unwrap().windows(4).any(|window| window == b"s3cr");
    assert_eq!(left.iter().filter(|path| has_password(path)).count(), 0);
}

#[test]
fn a_token_alone_is_a_user_without_a_password() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let repository = server.repository("a");
    let commit = repository.write("a", "a").commit(1);
    repository.git(&["update-server-info"]);
    let plain = serve_to(server.root().to_owned(), "t0ken", "");
    let (_directory, store) = store();
    let url = format!("http://t0ken@{}/a.git", plain.address());
    assert_eq!(fetched(&url, &store).unwrap().checkout.revision, commit);
}

#[test]
fn a_password_goes_to_the_host_that_it_belongs_to() {
    if !require("git") {
        return;
    }
    let other = FakeRegistry::scripted(|_| Some(Reply::status(401).with("www-authenticate", "Basic realm=x")));
    let elsewhere = format!("http://{}", other.address());
    let first = FakeRegistry::scripted(move |request| {
        let location = format!("{elsewhere}{}", request.path);
        Some(Reply::status(302).with("location", &location))
    });
    let (_directory, store) = store();
    fetched(&format!("http://me:s3cret@{}/a.git", first.address()), &store).unwrap_err();
    assert!(!other.requests().is_empty(), "it was followed");
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
}

/// What is fetched is the same bytes, `.git` and all, whatever git's variables say.
#[test]
fn variables_of_git_do_not_count() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let repository = server.repository("a.git");
    repository.write("a", "a\n").write("Dockerfile", "FROM scratch\nCOPY a /\n").commit(1_500_000_000);
    let place = tempfile::tempdir().unwrap();
    let marker = place.path().join("was-run");
    let touch = format!("touch {}", marker.display());
    let nowhere = place.path().join("nowhere");
    fs::create_dir(place.path().join("git")).unwrap();
    fs::write(place.path().join("git/attributes"), "* text eol=crlf\n").unwrap();
    let url = server.url("a.git");
    let expected = Program::new().run(["build", &url]).digest();
    for (name, value) in [
        ("GIT_DIR", nowhere.to_str().unwrap()),
        ("GIT_WORK_TREE", nowhere.to_str().unwrap()),
        ("GIT_DEFAULT_HASH", "sha256"),
        ("GIT_DEFAULT_REF_FORMAT", "reftable"),
        ("GIT_CONFIG_PARAMETERS", "'core.autocrlf'='true'"),
        ("GIT_SSH_COMMAND", &touch),
        ("GIT_EXTERNAL_DIFF", &touch),
        ("GIT_TRACE", marker.to_str().unwrap()),
        ("GIT_TRACE2_EVENT", marker.to_str().unwrap()),
        ("GIT_ALLOW_PROTOCOL", "file"),
        ("GIT_CONFIG_COUNT", "x"),
        ("OTHER", "one\nGIT_a-b=1\nGIT_x y"),
        ("XDG_CONFIG_HOME", place.path().to_str().unwrap()),
    ] {
        assert_eq!(Program::new().environment(name, value).run(["build", &url]).digest(), expected, "{name}");
        assert!(!marker.exists(), "{name}");
    }
}

#[test]
fn a_list_of_submodules_is_a_file_and_names_no_program() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let (_directory, store) = store();
    let marker = server.root().join("was-run");
    let commit = server.repository("inner.git").write("i", "inner").commit(1);
    let list = |name: &str, more: &str| {
        format!("[submodule \"{name}\"]\n\tpath = x\n\turl = {}\n{more}", server.url("inner.git"))
    };
    let link = server.repository("link.git");
    link.write("list", &list("x", ""));
    let program = server.repository("program.git");
    program.write(".gitmodules", &list("x", &format!("\tupdate = \"!touch {}\"\n", marker.display())));
    let outside = server.repository("outside.git");
    outside.write(".gitmodules", &list("../../outside", ""));
    for repository in [&link, &program, &outside] {
        repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},x")]);
        repository.git(&["add", "."]);
        repository.git(&["commit", "--quiet", "--message", "m"]);
    }
    // Git itself makes no such link.
    let target = run_with_input("git", ["-C", link.path().to_str().unwrap(), "hash-object", "-w", "--stdin"], b"list");
    let entries = format!("{}\n120000 blob {}\t.gitmodules\n", link.git(&["ls-tree", "HEAD"]), target.trim());
    let tree = run_with_input("git", ["-C", link.path().to_str().unwrap(), "mktree"], entries.as_bytes());
    let commit = link.git(&["commit-tree", tree.trim(), "-m", "m"]);
    link.git(&["update-ref", "HEAD", &commit]);
    for (name, says) in [
        // It may be git that refuses it, when it checks it out.
        ("link.git", "cannot "),
        ("outside.git", "cannot fetch the submodules"),
        ("program.git", "cannot fetch the submodules"),
    ] {
        match fetched(&server.url(name), &store) {
            Err(error) => assert!(error.message.contains(says), "{name}: {error}"),
            // Git leaves out what is to be brought by a command, and what is listed for another place.
            Ok(found) => assert!(name != "link.git" && !files(&found.root).contains_key("x/i"), "{name}"),
        }
        assert!(!marker.exists(), "{name}");
    }
}
