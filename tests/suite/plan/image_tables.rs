//! An `ocibake.toml` with a table for each of several images.

use ocibake::error::Error;
use ocibake::plan::{DockerfileTable, ImageTable, ImageTables, Spec, SpecBase, TableRecipe};

fn read(text: &str) -> Vec<ImageTable> {
    ImageTables::parse("ocibake.toml", text).unwrap().unwrap().images
}

fn dockerfile(image: &ImageTable) -> &DockerfileTable {
    match &image.recipe {
        TableRecipe::Dockerfile(table) => table,
        TableRecipe::Layers(_) => panic!("{} is made of layers", image.name),
    }
}

fn layers(image: &ImageTable) -> &Spec {
    match &image.recipe {
        TableRecipe::Layers(spec) => spec,
        TableRecipe::Dockerfile(_) => panic!("{} has a Dockerfile", image.name),
    }
}

/// The message, the line and the hint of what is refused.
fn refusal(text: &str) -> (String, usize, String) {
    let Error { message, excerpt, hint, .. } = ImageTables::parse("ocibake.toml", text).unwrap_err();
    (message, excerpt.unwrap().line, hint.unwrap_or_default())
}

fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    pairs.into_iter().map(|(key, value)| format!("{key}={value} ")).collect()
}

#[test]
fn a_table_has_what_it_says_over_what_is_said_for_all() {
    let images = read(
        r#"
        platforms = ["linux/amd64", "linux/arm64"]
        vendor = "Team"
        labels = { a = "1", b = "1" }
        args = { VERSION = "1", MODE = "all" }
        contexts = { lib = "../lib" }
        no-cache = true
        network = "none"

        [image.worker]
        tags = ["registry.example/worker:1", "worker"]
        context = "services/worker"
        dockerfile = "Dockerfile.worker"
        target = "runtime"
        platforms = ["linux/arm64"]
        labels = { b = "2" }
        args = { MODE = "own" }
        contexts = { api = "target:api", base = "docker-image://alpine:3.22" }
        secret = ["id=token,env=TOKEN"]
        ssh = ["default"]
        no-cache = false
        shm-size = "64m"
        ulimits = ["nofile=1024:2048"]
        extra-hosts = { db = "10.0.0.1" }
        entitlements = ["network.host"]

        [image.api]
        description = "The API"
        name = "registry.example/api"
        "#,
    );
    assert_eq!(images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(), ["worker", "api"]);
    let (worker, api) = (dockerfile(&images[0]), dockerfile(&images[1]));
    assert_eq!(images[0].tags, ["registry.example/worker:1", "worker"]);
    assert_eq!((images[0].context.as_deref(), images[0].place.line), (Some("services/worker"), 10));
    assert_eq!((worker.dockerfile.as_deref(), worker.target.as_deref()), (Some("Dockerfile.worker"), Some("runtime")));
    assert_eq!(worker.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux/arm64"]);
    assert_eq!(pairs(&worker.labels), "a=1 b=2 ");
    assert_eq!(pairs(&worker.args), "MODE=own VERSION=1 ");
    assert_eq!(pairs(&worker.contexts), "api=target:api base=docker-image://alpine:3.22 lib=../lib ");
    let links: Vec<(&str, usize)> = images[0].links.iter().map(|(name, place)| (name.as_str(), place.line)).collect();
    assert_eq!(links, [("api", 18)]);
    assert_eq!((worker.no_cache, worker.network.as_deref()), (Some(false), Some("none")));
    assert_eq!(
        (&worker.secrets[..], &worker.ssh[..]),
        (&["id=token,env=TOKEN".to_owned()][..], &["default".to_owned()][..])
    );
    assert_eq!((worker.shm_size.as_deref(), &worker.ulimits[..]), (Some("64m"), &["nofile=1024:2048".to_owned()][..]));
    assert_eq!(
        (pairs(&worker.extra_hosts).as_str(), &worker.entitlements[..]),
        ("db=10.0.0.1 ", &["network.host".to_owned()][..])
    );
    assert_eq!((images[1].tags.clone(), images[1].context.clone()), (vec!["registry.example/api".to_owned()], None));
    assert_eq!((api.platforms.len(), api.no_cache, api.dockerfile.as_deref()), (2, Some(true), None));
    assert_eq!(pairs(&api.args), "MODE=all VERSION=1 ");
    assert_eq!((api.about.vendor.as_deref(), api.about.description.as_deref()), (Some("Team"), Some("The API")));
}

#[test]
fn images_of_layers_stand_on_the_layers_of_all_and_those_of_dockerfiles_do_not() {
    let images = read(
        r#"
        base = "debian:12"
        [[layer]]
        add = [{ from = "certificates", to = "/etc/ssl/" }]
        [config]
        env = { A = "1", B = "1" }
        user = "1000"
        cmd = ["/bin/all"]

        [image.api]
        [[image.api.layer]]
        add = [{ from = "target/api", to = "/bin/" }]
        [image.api.config]
        env = { B = "2" }
        entrypoint = ["/bin/api"]

        [image.plain]
        base = "scratch"

        [image.web]
        dockerfile = "Dockerfile"
        "#,
    );
    let (api, plain) = (layers(&images[0]), layers(&images[1]));
    assert_eq!(api.base, SpecBase::Image("debian:12".to_owned()));
    assert_eq!(api.layers.iter().map(|layer| layer.adds[0].to.as_str()).collect::<Vec<_>>(), ["/etc/ssl/", "/bin/"]);
    assert_eq!(api.config.env, Some(vec!["A=1".to_owned(), "B=2".to_owned()]));
    assert_eq!((api.config.user.as_str(), api.config.entrypoint.is_some()), ("1000", true));
    assert_eq!(api.config.cmd, None, "an entrypoint has a command of its own");
    assert_eq!((plain.base.clone(), plain.layers.len()), (SpecBase::Scratch, 1));
    assert_eq!(dockerfile(&images[2]).dockerfile.as_deref(), Some("Dockerfile"));
}

#[test]
fn the_nearer_of_a_dockerfile_and_its_text_counts() {
    let images = read(
        "dockerfile = \"all\"\n[image.a]\ndockerfile-inline = \"FROM scratch\"\n[image.b]\nargs = { A = \"1\" }\n",
    );
    let told = |image: &ImageTable| (dockerfile(image).dockerfile.clone(), dockerfile(image).dockerfile_inline.clone());
    assert_eq!(told(&images[0]), (None, Some("FROM scratch".to_owned())));
    assert_eq!(told(&images[1]), (Some("all".to_owned()), None));
}

#[test]
fn an_image_of_layers_stands_on_another_and_groups_have_several() {
    let text = "base = \"target:a\"\n[image.a]\nbase = \"scratch\"\n[image.b]\n[group]\nb-alone = [\"b\"]\n";
    let ImageTables { images, groups } = ImageTables::parse("ocibake.toml", text).unwrap().unwrap();
    let of = |number: usize| {
        (layers(&images[number]).base.target(), images[number].links.keys().cloned().collect::<Vec<_>>().join(" "))
    };
    assert_eq!((of(0), of(1)), ((None, String::new()), (Some("a"), "a".to_owned())));
    let groups: Vec<(&str, String)> =
        groups.iter().map(|group| (group.name.as_str(), group.members.join(" "))).collect();
    assert_eq!(groups, [("b-alone", "b".to_owned()), ("default", "a b".to_owned())]);
}

#[test]
fn a_file_without_tables_is_one_image() {
    assert!(ImageTables::parse("ocibake.toml", "name = \"a/b\"\n").unwrap().is_none());
    let error = Spec::parse("ocibake.toml", "[image.a]\n").unwrap_err();
    assert_eq!(error.message, "ocibake.toml has a table for each of several images");
    assert_eq!(error.hint.as_deref(), Some("build them with `ocibake bake -f ocibake.toml`"));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases = [
        (
            "tags = [\"a\"]\n[image.a]\n",
            "`tags` at the top would name all images alike",
            1,
            "write it below `[image.NAME]`",
        ),
        ("[image.a]\ndockerfil = \"x\"\n", "unknown key `dockerfil` in `a`", 2, "did you mean `dockerfile`?"),
        ("plattforms = []\n[image.a]\n", "unknown key `plattforms`", 1, "did you mean `platforms`?"),
        (
            "[image.\"a b\"]\n",
            "`a b` cannot be the name of an image here",
            1,
            "it has letters, digits, `_` and `-`; other names go into `tags`",
        ),
        ("image = 1\n", "`image` must be a table, not an integer", 1, ""),
        ("[image]\n", "`image` has no images", 1, "write one as `[image.NAME]`"),
        ("[image.a]\ntags = [\"A\"]\n", "`A` is not an image name", 2, "repository names are lower case: `a`"),
        (
            "[image.a]\nbase = \"b\"\n\nargs = { A = \"1\" }\n",
            "`base` makes an image of layers, and `args` one of a Dockerfile",
            2,
            "an image is made of only one of the two",
        ),
        ("[image.a]\ndockerfile = \"b\"\ndockerfile-inline = \"c\"\n", "there is a `dockerfile`, too", 3, ""),
        ("[image.a]\nargs = { A = 1 }\n", "`A` must be a string, not an integer", 2, "write it as a string: \"1\""),
        (
            "[image.a]\n[image.b]\ncontexts = { x = \"target:c\" }\n",
            "the image `b` takes from `c`, which is not one of them",
            3,
            "known images are a, b",
        ),
        (
            "[image.api]\n[image.b]\ncontexts = { x = \"target:apo\" }\n",
            "the image `b` takes from `apo`, which is not one of them",
            3,
            "did you mean `target:api`?",
        ),
        (
            "[image.a]\ncontexts = { x = \"target:b\" }\n[image.b]\ncontexts = { x = \"target:c\" }\n[image.c]\ncontexts = { x = \"target:b\" }\n",
            "the images take from each other: b → c → b",
            4,
            "",
        ),
    ];
    for (text, message, line, hint) in cases {
        assert_eq!(refusal(text), (message.to_owned(), line, hint.to_owned()), "{text}");
    }
    for (key, value) in [
        ("secret", "[\"src=a\"]"),
        ("ulimits", "[\"x\"]"),
        ("network", "\"x y\""),
        ("shm-size", "\"x\""),
        ("entitlements", "[\"x\"]"),
        ("extra-hosts", "{ a = \"b\" }"),
        ("ssh", "[\"\"]"),
        ("contexts", "{ a = \"git@\" , \"A B\" = \"x\" }"),
        ("context", "\"\""),
    ] {
        let (_, line, _) = refusal(&format!("[image.a]\n{key} = {value}\n"));
        assert_eq!(line, 2, "{key}");
    }
    let many: String = (0..1001).map(|at| format!("[image.a{at}]\n")).collect();
    assert_eq!(refusal(&many).0, "ocibake.toml has more than 1000 images");
}
