//! Definitions that are written to take all there is: each ends soon, with an error.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::Case;

#[test]
fn definitions_that_take_too_much_are_refused_soon() {
    let mut groups = String::new();
    let mut chain = String::new();
    let mut variables = String::new();
    let mut doubled = String::from("target \"d0\" {\n  tags = [\"x\"]\n}\n");
    for number in 0..1000 {
        writeln!(groups, "group \"g{number}\" {{\n  targets = [\"g{}\"]\n}}", number + 1).unwrap();
        writeln!(chain, "target \"t{number}\" {{\n  inherits = [\"t{}\"]\n}}", number + 1).unwrap();
        writeln!(variables, "variable \"v{number:04}\" {{ default = v{:04} }}", number + 1).unwrap();
    }
    for number in 1..40 {
        let below = number - 1;
        writeln!(
            doubled,
            "target \"d{number}\" {{\n  annotations = concat(flatten([[for n in range(9): \"a{number}${{n}}=b\"]]), [])\n  inherits = [\"d{below}\", \"d{below}\"]\n}}"
        )
        .unwrap();
    }
    let axes: Vec<String> = (0..9).map(|axis| format!("a{axis} = range(9)")).collect();
    let matrix = format!("target \"m\" {{\n  name = \"m\"\n  matrix = {{ {} }}\n}}\n", axes.join(", "));
    let links: String = (0..1000)
        .map(|number| format!("target \"l{number}\" {{\n  contexts = {{ a = \"target:l{}\" }}\n}}\n", number + 1))
        .collect();
    for (text, target, said) in [
        (&groups, "g0", "are nested more than"),
        (&chain, "t0", "inherit from each other too deeply"),
        (&format!("{variables}target \"v\" {{}}\n"), "v", "refer to each other in a row"),
        (&matrix, "m", "more than 5000"),
        (&format!("{links}target \"l1000\" {{}}\n"), "l0", "take from each other in a row"),
    ] {
        let begin = Instant::now();
        Case::hcl(text).run(&[target, "--print"]).failure(1).says(&[said]);
        assert!(begin.elapsed() < Duration::from_secs(20), "{said}");
    }
    // What is inherited twice is resolved once.
    Case::hcl(&doubled).run(&["d39", "--print"]).success();
}

/// What a function would need on its way is no more than what it returns.
#[test]
fn functions_take_no_more_than_they_return() {
    let lists = "range(1000), range(1000), range(1000)";
    for (expression, value) in [
        ("indent(9000000000000000000, \"x\")", "x"),
        (&format!("jsonencode(setproduct({lists}, []))"), "[]"),
        (&format!("jsonencode(setproduct([], {lists}))"), "[]"),
    ] {
        let case = Case::hcl(&format!("target \"a\" {{\n  args = {{ A = {expression} }}\n}}\n"));
        assert_eq!(case.target(&["a"])["args"]["A"], value);
    }
    for (expression, said) in [
        ("indent(9000000000000000000, \"x\\n\")", "too large"),
        (&format!("jsonencode(setproduct({lists}))"), "take too long to evaluate"),
        ("format(\"%9000000000d\", 1)", "is more than"),
    ] {
        let case = Case::hcl(&format!("target \"a\" {{\n  args = {{ A = {expression} }}\n}}\n"));
        case.run(&["a", "--print"]).failure(1).says(&[said]);
    }
}

#[test]
fn images_that_have_too_much_in_common_are_refused_soon() {
    let add = |number: usize| format!("[[layer]]\nadd = [{{ from = \"a\", to = \"/{number}\" }}]\n");
    let layers: String = (0..5000).map(add).collect();
    let images: String = (0..1000).map(|number| format!("[image.i{number}]\n")).collect();
    let begin = Instant::now();
    let outcome = Case::new(&[("ocibake.toml", &format!("{layers}{images}"))]).run(&["--print"]).failure(1);
    outcome.says(&["ocibake.toml says too much at its top for 1000 images", "ocibake.toml:10001:2"]);
    assert!(begin.elapsed() < Duration::from_secs(20));
    let chain: String =
        (0..1000).map(|number| format!("[image.i{number}]\nbase = \"target:i{}\"\n", number + 1)).collect();
    let case = Case::new(&[("ocibake.toml", &format!("{chain}[image.i1000]\nbase = \"scratch\"\n"))]);
    case.run(&["--print"]).failure(1).says(&["has more than 1000 images"]);
    let chain = chain.replace("[image.i0]\nbase = \"target:i1\"\n", "[image.i1000]\nbase = \"scratch\"\n");
    let case = Case::new(&[("ocibake.toml", &chain)]);
    case.run(&["i1", "--print"]).failure(1).says(&["take from each other in a row"]);
}

#[test]
fn what_is_no_file_of_text_is_refused() {
    let case = Case::new(&[("directory/docker-bake.hcl", "")]);
    case.run(&["-f", "directory", "--print"]).failure(1).says(&["directory is a directory"]);
    case.run(&["-f", "/dev/zero", "--print"]).failure(1).says(&["/dev/zero", "too large for a bake file"]);
    std::fs::write(case.path().join("bytes.hcl"), b"\xff\xfe").unwrap();
    case.run(&["-f", "bytes.hcl", "--print"]).failure(1).says(&["cannot read bytes.hcl"]);
}

#[test]
fn nothing_of_a_definition_reaches_the_terminal_as_it_is() {
    let case = Case::hcl("target \"a\" {\n  tags = [\"\\u001b[31m\"]\n  description = nope(\"\\u001b\")\n}\n");
    let outcome = case.run(&["a", "--print"]).failure(1);
    assert!(!outcome.stderr.contains('\u{1b}'), "{:?}", outcome.stderr);
    let case = Case::hcl("target \"a\" {\n  description = \"\\u001b[31m\"\n}\n");
    for arguments in [&["a", "--print"][..], &["--list", "targets"], &["--list=type=targets,format=json"]] {
        let outcome = case.run(arguments).success();
        assert!(!outcome.stdout.contains('\u{1b}'), "{:?}", outcome.stdout);
    }
}
