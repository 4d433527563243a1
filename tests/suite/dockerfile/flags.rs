//! Flags of instructions, and `RUN --mount`. Expectations follow Docker's Dockerfile reference and the rules of BuildKit's
//! `instructions` package.

use ocibake::error::{Error, Result};
use ocibake::plan::dockerfile::{AddCommand, Command, CopyCommand, Mount, MountKind, RunCommand};
use ocibake::plan::{CacheSharing, RunNetwork, RunSecurity};

use crate::support::reading::{command, refused, text, texts};

fn copy(line: &str) -> CopyCommand {
    match command(line) {
        Command::Copy(copy) => copy,
        other => panic!("{other:?}"),
    }
}

fn add(line: &str) -> AddCommand {
    match command(line) {
        Command::Add(add) => add,
        other => panic!("{other:?}"),
    }
}

fn run(line: &str) -> RunCommand {
    match command(line) {
        Command::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

/// The mount of a `RUN` with `$T` expanded to `tmpfs`, or the error's words.
fn mount(flag: &str) -> Result<Mount, String> {
    let run = run(&format!("RUN --mount={flag} true"));
    let message = |error: Error| error.to_string();
    run.mounts[0].mount(&mut |word| Ok(word.text.replace("$T", "tmpfs"))).map_err(message)
}

#[test]
fn copies_have_their_flags() {
    let found = copy("COPY --from=build --chown=a:b --chmod=u+x --link --parents --exclude=*.md --exclude=x a b /c");
    assert_eq!(
        [&found.from, &found.transfer.chown, &found.transfer.chmod].map(text),
        [Some("build"), Some("a:b"), Some("u+x")]
    );
    assert_eq!((found.transfer.link, found.parents), (true, true));
    assert_eq!(texts(&found.transfer.exclude), ["*.md", "x"]);
    assert_eq!(texts(&found.transfer.sources), ["a", "b"]);
    let found = add("ADD --checksum=sha256:00 --keep-git-dir=false --unpack --link=FALSE --chown= https://x/y /z");
    assert_eq!((text(&found.checksum), found.keep_git_dir, found.unpack), (Some("sha256:00"), Some(false), Some(true)));
    assert_eq!((found.transfer.link, text(&found.transfer.chown)), (false, None), "an empty value is none");
}

#[test]
fn flags_end_where_arguments_begin() {
    let found = copy("COPY --link -- --from=x /y");
    assert_eq!((texts(&found.transfer.sources), text(&found.from)), (vec!["--from=x"], None));
    let found = copy("COPY a --from=x /y");
    assert_eq!(texts(&found.transfer.sources), ["a", "--from=x"]);
    let found = copy("COPY --from=x \\\n # c\n --link \\\n a /y");
    assert_eq!((text(&found.from), found.transfer.link), (Some("x"), true));
    assert!(matches!(command("CMD -x --y"), Command::Cmd(_)));
}

#[test]
fn quotes_and_backslashes_hold_a_flag_together() {
    let found = copy("COPY --from=\"a b\" --chown='$c d' --exclude=e\\ \\\"f --exclude=\"g\\\"\"é a /y");
    assert_eq!((text(&found.from), text(&found.transfer.chown)), (Some("a b"), Some("$c d")));
    assert_eq!(texts(&found.transfer.exclude), ["e \"f", "g\"é"]);
}

#[test]
fn run_has_networks_securities_and_devices() {
    let found = run("RUN --network=none --security=insecure --device=vendor.com/gpu=all,required --device=name=x a");
    assert_eq!((found.network, found.security), (RunNetwork::None, RunSecurity::Insecure));
    let devices: Vec<_> = found.devices.iter().map(|device| (&*device.name.text, device.required)).collect();
    assert_eq!(devices, [("vendor.com/gpu=all", true), ("x", false)]);
    let found = run("RUN a");
    assert_eq!((found.network, found.security, found.devices.len()), (RunNetwork::Default, RunSecurity::Sandbox, 0));
}

#[test]
fn mounts_are_of_five_kinds() {
    let some = |text: &str| Some(text.to_owned());
    let none = None::<u32>;
    let known = [
        ("target=/a", MountKind::Bind { from: None, source: None }, "/a", true),
        ("type=bind,from=b,source=/c,dst=/a,rw", MountKind::Bind { from: some("b"), source: some("/c") }, "/a", false),
        (
            "type=cache,id=i,destination=/a,sharing=Locked,mode=0755,uid=1,gid=2,ro",
            MountKind::Cache {
                id: some("i"),
                sharing: CacheSharing::Locked,
                from: None,
                source: None,
                mode: Some(0o755),
                uid: Some(1),
                gid: Some(2),
            },
            "/a",
            true,
        ),
        ("type=$T,target=/a,size=64m", MountKind::Tmpfs { size: Some(64 << 20) }, "/a", false),
        (
            "type=secret,id=t,required",
            MountKind::Secret { id: some("t"), env: None, required: true, mode: none, uid: none, gid: none },
            "",
            true,
        ),
        (
            "type=secret,src=t,env=TOKEN,target=/a,mode=400",
            MountKind::Secret {
                id: some("t"),
                env: some("TOKEN"),
                required: false,
                mode: Some(0o400),
                uid: none,
                gid: none,
            },
            "/a",
            true,
        ),
        (
            "type=ssh,required=1,readonly=false",
            MountKind::Ssh { id: None, required: true, mode: none, uid: none, gid: none },
            "",
            false,
        ),
    ];
    for (flag, kind, target, read_only) in known {
        assert_eq!(mount(flag), Ok(Mount { kind, target: target.to_owned(), read_only }), "{flag}");
    }
}

#[test]
fn sizes_are_binary() {
    for (size, bytes) in [("1", 1), ("1b", 1), ("2k", 2048), ("2KiB", 2048), ("1.5m", 3 << 19), ("1 gb", 1 << 30)] {
        let found = mount(&format!("'type=tmpfs,target=/a,size={size}'"));
        assert_eq!(found.map(|mount| mount.kind), Ok(MountKind::Tmpfs { size: Some(bytes) }), "{size}");
    }
    for size in ["", "m", "1x", "-1", "1..2", "i", "1e3", "99999999999999999999p"] {
        assert!(mount(&format!("type=tmpfs,target=/a,size={size}")).is_err(), "{size}");
    }
}

#[test]
fn a_mount_is_one_csv_record() {
    let found = mount(r#"'type=bind,"source=a,b","target=/c""d"'"#).unwrap();
    assert_eq!(found.kind, MountKind::Bind { from: None, source: Some("a,b".to_owned()) });
    assert_eq!(found.target, "/c\"d");
    for flag in [r#"'type=b"ind"'"#, r#"'"type=bind'"#, r#"'"type=bind"x'"#, ""] {
        assert!(refused(&format!("RUN --mount={flag} a")).contains("hint: options are"), "{flag}");
    }
}

#[test]
fn what_a_mount_cannot_be_is_told() {
    let known = [
        ("type=cahce,target=/a", "there is no mount of type `cahce`"),
        ("target=/a,tipe=x", "a mount has no option `tipe`"),
        ("type=cache,target", "`target` of a mount needs a value"),
        ("required,type=secret,id=a", "a mount of type `bind` has no `required`"),
        ("type=cache,target=/a,size=1", "a mount of type `cache` has no `size`"),
        ("target=/a,mode=0644", "a mount of type `bind` has no mode, uid or gid"),
        ("type=ssh,sharing=locked", "a mount of type `ssh` has no `sharing`"),
        ("type=cache,target=/a,sharing=mine", "`mine` cannot be the `sharing` of a mount"),
        ("type=cache,target=/a,mode=9", "`9` cannot be the `mode` of a mount"),
        ("type=cache,target=/a,uid=-1", "`-1` cannot be the `uid` of a mount"),
        ("target=/a,ro=maybe", "`maybe` cannot be the `ro` of a mount"),
        ("type=secret", "a secret needs an `id`"),
        ("type=secret,id=a,source=b", "a secret has an `id` or a `source`, not both"),
        ("type=secret,id=a,from=b", "a secret has no `from`"),
    ];
    for (flag, message) in known {
        assert_eq!(mount(flag), Err(message.to_owned()), "{flag}");
    }
}
