//! Where mounts are taken from: no link and no name leads out of a stage, a context or a cache.

use super::{Bait, Everywhere};
use crate::support::tree::Tree;

#[test]
fn a_source_that_is_a_link_stays_within_its_stage() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let bait = Bait::new();
    let before = bait.state();
    let away = bait.path().display();
    let evil = |link: &str| format!("FROM base AS evil\nRUN ln -s {link} /link && touch /of-the-stage\nFROM base\n");
    let look = format!(
        "ls /m > /told; ls /m{away}; (echo x > /m{away}/file; rm -r /m/[a-z]*) 2>/dev/null; ! grep -rs bait-7c1e /m\n"
    );
    for link in ["/", "../../../../../../.."] {
        let stages = format!(
            "{}RUN --mount=type=bind,from=evil,source=/link,target=/m,rw {look}\
             RUN --mount=type=bind,from=evil,source=/link,target=/m {look}",
            evil(link)
        );
        let told = everywhere.told_by(&stages, &[]);
        assert_eq!(told, "bin\ndev\netc\nlink\nof-the-stage\nproc\nsys\n", "{link}");
    }
    for (link, source) in [
        (format!("../../../../../../..{away}"), "/link/deep"),
        ("/proc/self/root".to_owned(), "/link"),
        ("/proc/1/cwd".to_owned(), "/link/../.."),
    ] {
        everywhere
            .write(&format!("{}RUN --mount=type=bind,from=evil,source={source},target=/m,rw {look}", evil(&link)));
        for within in everywhere.each() {
            let outcome = within.build(&["--progress=plain"]);
            assert!(!outcome.stderr.contains("resolv.conf"), "{}: {link}: {}", within.isolation, outcome.stderr);
        }
    }
    assert_eq!(bait.state(), before);
}

#[test]
fn what_is_written_to_a_bind_never_reaches_the_context() {
    let tree = Tree::new().file("dir/file", "of the context").file("dir/sub/other", "other").file("single", "one");
    let Some(everywhere) = Everywhere::new(tree) else { return };
    let state = || {
        let list = "cd \"$1\" && find . -mindepth 1 ! -name Dockerfile -printf '%p %M %U:%G %s %T@\\n' | sort && cat dir/file single";
        crate::support::tool::run("sh", ["-c", list, "sh", everywhere.context.path().to_str().unwrap()])
    };
    let before = state();
    let told = everywhere.told(
        "RUN --mount=type=bind,source=dir,target=/m,rw --mount=type=bind,source=single,target=/s,rw \
         echo changed > /m/file && rm -r /m/sub && mkdir /m/new && chown 5:6 /m /m/file && chmod 700 /m && echo more >> /s; \
         touch -d 2001-01-01 /m /m/file; ln /m/file /m/hard; cat /m/file /s > /told\n\
         RUN --mount=type=bind,source=dir,target=/m cat /m/file /m/sub/other >> /told; \
         (echo x > /m/file; chmod 777 /m/file; chown 7 /m/file; rm -r /m/sub) 2>/dev/null; true\n",
    );
    assert_eq!(told, "changed\nonemore\nof the contextother");
    assert_eq!(state(), before);
}

#[test]
fn the_name_of_a_cache_is_no_path() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let all: String =
        ["../..", "../../../../../../tmp/ocibake-walk", "/tmp/ocibake-walk", ".", "a/../../b", "%2e%2e/x"]
            .iter()
            .map(|id| {
                format!(
                    "RUN --mount=type=cache,id={id},target=/c ls /c >> /told && touch /c/escaped-{0}\n",
                    std::process::id()
                )
            })
            .collect();
    assert_eq!(everywhere.told(&all), "");
    for within in everywhere.each() {
        let store = within.program.store();
        let found = crate::support::tool::run(
            "find",
            [within.program.home().as_os_str(), "-name".as_ref(), "escaped-*".as_ref()],
        );
        assert_eq!(found.lines().count(), 6, "{}", within.isolation);
        let caches = store.join("caches").display().to_string();
        assert!(found.lines().all(|line| line.starts_with(&caches)), "{}: {found}", within.isolation);
    }
    assert!(!std::path::Path::new("/tmp/ocibake-walk").exists());
}

/// Stages that run at one time, of which one replaces what the other begins with.
#[test]
fn what_a_parallel_stage_swaps_is_no_source_of_another() {
    let tree = Tree::new().file("shared/sub/file", "of the context");
    let Some(everywhere) = Everywhere::new(tree) else { return };
    let bait = Bait::new();
    let before = bait.state();
    let away = bait.path().display();
    let swap = format!(
        "for i in $(seq 30); do rm -rf $at/sub; ln -s {away} $at/sub; rm -f $at/sub; mkdir -p $at/sub; echo own > $at/sub/file; done"
    );
    let mount = |kind: &str| {
        let source =
            if kind == "cache" { "type=cache,id=it,from=first,source=/shared" } else { "type=bind,source=shared,rw" };
        let inner = if kind == "cache" {
            "type=cache,id=it,from=first,source=/shared/sub"
        } else {
            "type=bind,source=shared/sub,rw"
        };
        (source, inner)
    };
    for kind in ["cache", "bind"] {
        let (outer, inner) = mount(kind);
        let victims: String = (0..3)
            .map(|number| {
                format!(
                    "RUN --mount={inner},target=/m cat /m/* >> /seen; echo {number} > /m/new; ! grep -rs bait-7c1e /m\n"
                )
            })
            .collect();
        everywhere.write(&format!(
            "FROM base AS first\nCOPY shared /shared\nFROM base AS one\nRUN --mount={outer},target=/m at=/m; {swap}\n\
             FROM base AS two\n{victims}FROM base\nCOPY --from=two /seen /told\nCOPY --from=one /etc/group /one\n"
        ));
        for within in everywhere.each() {
            let told = within.told(&["--jobs=3"]);
            assert!(told.starts_with("of the context") && !told.contains("bait-7c1e"), "{}: {told}", within.isolation);
        }
    }
    assert_eq!(bait.state(), before);
}
