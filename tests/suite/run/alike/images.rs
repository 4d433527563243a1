//! Images that are large, or strange, under commands.

use std::fs;

use super::Everywhere;
use crate::support::handmade::{Handmade, device, directory, file};
use crate::support::program::Program;
use crate::support::tool::require;
use crate::support::tree::Tree;

#[test]
fn more_layers_than_fit_on_a_page_in_a_store_with_a_long_path() {
    let place = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    let far = || {
        let name = format!("{}: a,b\\c", number.replace(number.get() + 1));
        let store = place.path().join("a".repeat(200)).join("b".repeat(200)).join(name);
        fs::create_dir_all(&store).unwrap();
        Program::new().environment("OCIBAKE_STORE", store)
    };
    let mut tree = Tree::new();
    for number in 0..130 {
        tree = tree.file(format!("files/{number}"), number.to_string());
    }
    let Some(everywhere) = Everywhere::with(tree, far) else { return };
    let copies: String =
        (0..130).map(|number| format!("COPY files/{number} /top /{number}/\nCOPY files/{number} /top\n")).collect();
    let copies = copies.replace(" /top /", " /");
    let stages = format!(
        "FROM base AS many\n{copies}FROM many\nRUN cat /top > /told && ls / | grep -c '[0-9]' >> /told && rm /top /7/7\nRUN ls /7 /top 2>&1 | wc -l >> /told\n"
    );
    let lines = everywhere.told_by(&stages, &[]);
    assert_eq!(lines, "129130\n2\n");
}

#[test]
fn nodes_and_attributes_of_an_overlay_in_an_image_are_the_same_everywhere() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let attribute = |name: &str| format!("SCHILY.xattr.{name}");
    let lower = [
        directory("d"),
        file("d/below", "1"),
        file("f", "below"),
        file("kept", "kept"),
        directory("e"),
        file("e/below", "1"),
    ];
    let upper = [
        // A whiteout of overlayfs by its node hides what is below, as with docker; attributes mean nothing.
        device("f", 0, 0),
        directory("d").record(&attribute("user.overlay.opaque"), "y").record(&attribute("trusted.overlay.opaque"), "y"),
        file("d/new", "2"),
        directory("e").record(&attribute("user.overlay.opaque"), "x"),
        file("e/hidden", "").record(&attribute("user.overlay.whiteout"), ""),
        file("kept", "kept")
            .record(&attribute("user.overlay.redirect"), "/f")
            .record(&attribute("user.overlay.metacopy"), ""),
        file("owned", "").record(&attribute("user.ocibake.owner"), "0 7 7"),
    ];
    let base = Handmade::of(&[&lower, &upper]);
    let named = format!("strange=oci-layout://{}", base.path().display());
    let stages = "FROM strange\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
                  RUN { ls /d /e; cat /kept /d/below /e/below; stat -c '%n %F %u:%g' /f /e/hidden /owned 2>&1; } > /told; true\n\
                  RUN touch /d/more /e/more && ls /d /e >> /told\n";
    insta::assert_snapshot!(everywhere.told_by(stages, &["--build-context", &named]), @r"
    /d:
    below
    new

    /e:
    below
    hidden
    kept11stat: can't stat '/f': No such file or directory
    /e/hidden regular empty file 0:0
    /owned regular empty file 0:0
    /d:
    below
    more
    new

    /e:
    below
    hidden
    more
    ");
}

#[test]
fn names_that_the_machine_provides_may_be_replaced_or_lead_nowhere() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let told = everywhere.told(
        "RUN ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf.new && mv /etc/resolv.conf.new /etc/resolv.conf && \
         rm /etc/hosts && ln -s /nowhere/hosts /etc/hosts\n\
         RUN cat /etc/resolv.conf > /dev/null && grep -c buildkitsandbox /etc/hosts > /told; ls /run /nowhere 2>&1 | wc -l >> /told\n\
         RUN echo nameserver 192.0.2.1 > /etc/new && mv /etc/new /etc/resolv.conf\n\
         RUN grep -c 192.0.2.1 /etc/resolv.conf >> /told; true\n",
    );
    assert_eq!(told, "1\n2\n0\n");
    for within in everywhere.each() {
        let root = within.root(&[]);
        let isolation = within.isolation;
        assert_eq!(fs::read_to_string(root.join("etc/resolv.conf")).unwrap(), "nameserver 192.0.2.1\n", "{isolation}");
        assert_eq!(fs::read_link(root.join("etc/hosts")).unwrap().to_str(), Some("/nowhere/hosts"), "{isolation}");
        assert_eq!(crate::support::traces::names_in(&root.join("etc")), ["group", "hosts", "passwd", "resolv.conf"]);
    }
}

#[test]
fn what_was_built_runs_under_other_engines() {
    use crate::support::container::{Bundle, require_runtime, run_by_podman};
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    if !require_runtime() || !require("podman") {
        return;
    }
    everywhere.write(
        "FROM base\nRUN mkdir -m 1777 /tmp && mkdir -p /root /own && chown 1000:1001 /own && ln -s /bin/busybox /own/link && \
         echo word > /own/file && chmod 4640 /own/file\nENV A=b\nUSER app\nWORKDIR /own/work\n\
         RUN id > told && rm ../file && echo again > ../file\nENTRYPOINT [\"/bin/sh\", \"-c\"]\nCMD [\"true\"]\n",
    );
    let look =
        "id -u; id -g; pwd; echo $A; cat told ../file; stat -c '%n %A %u:%g' /own/* /tmp; touch new && echo made";
    for within in everywhere.each() {
        let place = tempfile::tempdir().unwrap();
        let archive = place.path().join("image.tar");
        let output = archive.to_str().unwrap();
        within.build(&["-t", "localhost/it:1", "-o", output]).success();
        let by_podman = run_by_podman(&archive, "localhost/it:1", &[look], place.path());
        let bundle = Bundle::unpack(&format!("oci-archive:{output}"), "amd64", place.path());
        let groups = run_by_podman(&archive, "localhost/it:1", &["id -G"], place.path());
        assert_eq!(groups, "1001 2000\n", "{}", within.isolation);
        assert_eq!(bundle.run(&["-c", look]), by_podman, "{}", within.isolation);
        insta::allow_duplicates! {
            insta::assert_snapshot!(by_podman, @r"
            1000
            1001
            /own/work
            b
            uid=1000(app) gid=1001(app) groups=1001(app),2000(more)
            again
            /own/file -rw-r--r-- 1000:1001
            /own/link lrwxrwxrwx 0:0
            /own/work drwxr-xr-x 1000:1001
            /tmp drwxrwxrwt 0:0
            made
            ");
        }
    }
}
