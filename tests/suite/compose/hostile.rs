//! Files that somebody wrote to do harm.

use super::Case;

#[test]
fn a_billion_laughs_are_not_laughed() {
    let mut file = "x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        file += &format!("x-{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", "));
    }
    file += "services: {a: {image: x}}\n";
    Case::of(&file)
        .run(&["config"])
        .failure(1)
        .says(&["has more than 100000 values", "aliases count as what they stand for"]);
    let text = "x".repeat(1 << 20);
    let file = format!("x-a: &a {text}\nx-b: [{}]\nservices: {{a: {{image: x}}}}\n", vec!["*a"; 90_000].join(","));
    Case::of(&file).run(&["config"]).failure(1).says(&["has more than 100000 values"]);
    Case::of("x-a: &a [*a]\n").run(&["config"]).failure(1).says(&["this alias is inside what it is an alias of"]);
}

#[test]
fn what_is_deep_has_an_end() {
    let nested =
        |depth: usize| format!("x-a: {}{}\nservices: {{a: {{image: x}}}}\n", "[".repeat(depth), "]".repeat(depth));
    Case::of(&nested(150)).run(&["config"]).success();
    Case::of(&nested(5000)).run(&["config"]).failure(1).says(&["this is not YAML: recursion limit exceeded"]);
    let deep = nested(220);
    Case::of(&deep).run(&["config"]).failure(1).says(&["values are nested more than 200 deep"]);
    let deep = format!("services: {{a: {{image: \"{}{}\"}}}}\n", "${A:-".repeat(5000), "}".repeat(5000));
    Case::of(&deep).run(&["config"]).failure(1).says(&["defaults are nested more than 100 deep"]);
    let many = format!("services: {{a: {{image: x, command: \"{}\"}}}}\n", "$A".repeat(1000));
    let case = Case::of(&many).variable("A", "x".repeat(100_000));
    case.run(&["config"]).failure(1).says(&["the values of variables take more than 16 MiB"]);
}

#[test]
fn circles_are_found() {
    let case = Case::of("services: {a: {extends: b}, b: {extends: c}, c: {extends: a}}");
    case.run(&["config"]).failure(1).says(&["extends itself", "b in "]);
    let case = Case::new(&[
        ("compose.yaml", "services: {a: {extends: {service: a, file: other.yaml}}}"),
        ("other.yaml", "services: {a: {extends: {service: a, file: compose.yaml}}}"),
    ]);
    case.run(&["config"]).failure(1).says(&["extends itself"]);
    let case = Case::new(&[
        ("compose.yaml", "include: [a.yaml]"),
        ("a.yaml", "include: [sub/../compose.yaml]"),
        ("sub/x", ""),
    ]);
    case.run(&["config"]).failure(1).says(&["includes itself"]);
    // No circle, but two to the power of its depth.
    let names: Vec<String> = (0..40).map(|level| format!("{level}.yaml")).collect();
    let texts: Vec<String> = (1..41).map(|level| format!("include: [{level}.yaml, ./{level}.yaml]\n")).collect();
    let mut files: Vec<(&str, &str)> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("40.yaml", "services: {a: {image: x}}"));
    files.push(("compose.yaml", "include: [0.yaml]"));
    Case::new(&files).run(&["config"]).failure(1).says(&["more than 1000 files are included"]);
}

#[test]
fn a_chain_of_extensions_does_not_grow_without_end() {
    let base: String = (0..5_000).map(|number| format!("      V{number}: '1'\n")).collect();
    let services: String = (0..2_000).map(|number| format!("  s{number}: {{extends: base}}\n")).collect();
    let file = format!("services:\n  base:\n    image: x\n    environment:\n{base}{services}");
    Case::of(&file)
        .run(&["config"])
        .failure(1)
        .says(&["services have more than 2000000 values, counting what they extend"]);
    let chain: String = (0..300).map(|number| format!("  s{number}: {{extends: s{}}}\n", number + 1)).collect();
    let file = format!("services:\n{chain}  s300: {{image: x}}\n");
    Case::of(&file).run(&["config"]).failure(1).says(&["more than 100 services extend each other"]);
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let file = "services:\n  \"a\\e[31m\\u202e\": {build: {\"\\e[2J\": 1}}\n";
    for arguments in [&["config"][..], &["build"]] {
        let outcome = Case::of(file).run(arguments).failure(1);
        assert!(!outcome.stderr.contains(['\u{1b}', '\u{202e}']), "{:?}", outcome.stderr);
    }
    let case = Case::of("services: {a: {image: \"x\\e[0m\", profiles: [\"\\e[31m\", '']}}\n");
    for arguments in [&["config", "--profiles"][..], &["config", "--images"], &["config"]] {
        let outcome = case.run(arguments).success();
        assert!(!outcome.stdout.contains('\u{1b}'), "{:?}", outcome.stdout);
    }
}

#[test]
fn nothing_is_run_and_no_name_is_a_path() {
    for (file, part) in [
        ("services: {a: {build: {context: ., tags: ['../x']}}}", "compose.yaml:1:"),
        ("services: {a: {build: ., image: '--all'}}", "compose.yaml:1:"),
        ("services: {a: {build: 'ext::sh -c touch% /tmp/compose-was-here'}}", ""),
        ("services: {a: {build: 'https://--upload-pack=touch x.git'}}", ""),
        ("include: ['oci://example.com/x']", "only local files are read"),
    ] {
        Case::of(file).run(&["build"]).failure(1).says(&[part]);
    }
    assert!(!std::path::Path::new("/tmp/compose-was-here").exists());
}

#[test]
fn what_never_ends_is_not_read_to_its_end() {
    let case = Case::of("services: {a: {image: x, env_file: /dev/zero}}");
    case.run(&["config"]).failure(1).says(&["it is larger than 4194304 bytes"]);
    case.run(&["-f", "/dev/zero", "config"]).failure(1).says(&["it is larger than 4194304 bytes"]);
}

#[test]
fn what_is_laid_over_much_is_not_compared_with_all_of_it() {
    let ranges = |from: usize| -> String {
        let ranges: Vec<String> = (from..from + 5_000).map(|number| format!("{{subnet: s{number}}}")).collect();
        format!("networks: {{n: {{ipam: {{config: [{}]}}}}}}\n", ranges.join(", "))
    };
    let (one, two) = (ranges(0) + "services: {a: {image: x, networks: [n]}}\n", ranges(5_000));
    let case = Case::new(&[("compose.yaml", &one), ("compose.override.yaml", &two)]);
    case.run(&["config"]).failure(1).says(&["there are too many address ranges to merge"]);
    let hosts = |first: u8| -> String {
        let hosts: Vec<String> = (0..20_000).map(|number| format!("h{number}={first}.0.0.1")).collect();
        format!("services: {{a: {{image: x, extra_hosts: [{}]}}}}\n", hosts.join(", "))
    };
    let (one, two) = (hosts(1), hosts(2));
    Case::new(&[("compose.yaml", &one), ("compose.override.yaml", &two)]).run(&["config", "-q"]).success();
}
