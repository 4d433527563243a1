//! What is wrong with definitions: where, why, and what to do about it.

use super::Case;

/// The parts of what is said of a mistake, for those that nothing is printed of.
#[test]
fn mistakes_are_told_with_their_line_and_what_to_do() {
    for (text, parts) in [
        (
            "target \"app\" {\n  tags = [TAGG]\n}\nvariable \"TAG\" {}\n",
            &["docker-bake.hcl:2:11", "did you mean `TAG`"][..],
        ),
        ("target \"app\" {\n  tags = [uper(\"x\")]\n}\n", &["docker-bake.hcl:2:11", "did you mean `upper`"]),
        ("target \"app\" {\n  tags = 5\n}\n", &["`tags`: unsuitable value", "docker-bake.hcl:2:10"]),
        ("target \"app\" {\n  output = \"type=image\"\n}\n", &["`output`", "expected a list", "docker-bake.hcl:2:12"]),
        ("target \"app\" {\n  cache-from = [\"scope=x\"]\n}\n", &["a cache needs a type", "type=registry"]),
        (
            "target \"app\" {\n  inherits = [\"bas\"]\n}\ntarget \"base\" {}\n",
            &["failed to find target bas", "docker-bake.hcl:2:14", "did you mean `base`"],
        ),
        (
            "target \"app\" {\n  contexts = { a = \"target:b\" }\n}\ntarget \"b\" {\n  contexts = { a = \"target:app\" }\n}\n",
            &["infinite loop from b to app: app -> b -> app", "docker-bake.hcl:5:14"],
        ),
        (
            "target \"app\" {\n  contexts = { a = \"target:app\" }\n}\n",
            &["cannot link to itself", "docker-bake.hcl:2:14"],
        ),
        (
            "variable \"A\" { default = B }\nvariable \"B\" { default = A }\ntarget \"app\" {}\n",
            &["variable cycle not allowed for A: A -> B -> A"],
        ),
        (
            "function \"f\" {\n  params = []\n  result = f()\n}\ntarget \"app\" {}\n",
            &["function cycle not allowed for f", "docker-bake.hcl:1:1"],
        ),
        (
            "variable \"PORT\" {\n  default = 0\n  validation {\n    condition = PORT > 0\n    error_message = \"ports begin at 1\"\n  }\n}\ntarget \"app\" {}\n",
            &["the variable PORT is not valid: ports begin at 1", "docker-bake.hcl:4:17"],
        ),
        (
            "target \"app\" {\n  name = \"app\"\n  matrix = { v = [1, 2] }\n}\n",
            &["duplicate name \"app\"", "docker-bake.hcl:2:10", "every variable of the matrix"],
        ),
        ("target \"app\" {\n  name = \"x\"\n}\n", &["name requires matrix", "docker-bake.hcl:2:3"]),
        ("group \"app\" {\n  matrix = {}\n  targets = []\n}\n", &["matrix is not supported for groups"]),
        ("target \"a.b\" {}\n", &["`a.b` cannot be the name of a target", "docker-bake.hcl:1:8"]),
        ("target \"app\" {\n  platforms = [\"linux/amd64/v1/x\"]\n}\n", &["target app: ", "linux/amd64/v1/x"]),
        (
            "target \"app\" {\n  secret = [\"id=token,src=none\"]\n}\n",
            &["target app: cannot find the secret `token`: none"],
        ),
        ("target \"app\" {\n  context = \"-\"\n}\n", &["target app: context from stdin not allowed in bake"]),
        ("target \"app\" {\n", &["docker-bake.hcl:"]),
    ] {
        Case::hcl(text).run(&["app", "--print"]).failure(1).says(parts);
    }
}

#[test]
fn a_target_that_is_not_there_is_told_with_one_that_is() {
    let case = Case::hcl("target \"api\" {}\ntarget \"web\" {}\n");
    case.run(&["apo", "--print"]).failure(1).says(&["failed to find target apo", "did you mean `api`"]);
    case.run(&["--print"]).failure(1).says(&["failed to find target default", "group \"default\""]);
    case.run(&["x*", "--print"]).failure(1).says(&["could not find any target matching \"x*\""]);
    case.run(&["api", "--print", "--set", "apo.tags=x"]).failure(1).says(&["--set apo.tags=x", "did you mean `api`"]);
    case.run(&["api", "--print", "--set", "api.tahs=x"]).failure(2).says(&["unknown key: tahs", "did you mean `tags`"]);
    case.run(&["api", "--print", "--set", "api.inherits=x"]).failure(2).says(&["can only be set in files"]);
    case.run(&["api", "--print", "--set", "api.args=x"]).failure(2).says(&["write api.args.NAME=VALUE"]);
    case.run(&["api", "--print", "--set", "api.tags"]).failure(2).says(&["it has no value"]);
}

#[test]
fn what_buildx_lets_pass_is_printed_with_a_warning_and_not_built() {
    for (text, said) in [
        ("target \"app\" {\n  tag = [\"x\"]\n}\n", "docker-bake.hcl:2:3: a target has no `tag` (did you mean `tags`?)"),
        (
            "target \"app\" {}\ntagret \"other\" {}\n",
            "docker-bake.hcl:2:1: there is no block `tagret` (did you mean `target`?)",
        ),
        (
            "target \"app\" {\n  inherits = [\"b\"]\n}\ntarget \"b\" {\n  inherits = [\"app\"]\n}\n",
            "docker-bake.hcl:5:14: targets inherit from each other in a circle: app -> b -> app",
        ),
    ] {
        let case = Case::hcl(text);
        case.run(&["app", "--print"]).success().says(&[&format!("warning: {said}")]);
        let (place, message) = said.split_once(": ").unwrap();
        let message = message.split(" (").next().unwrap();
        case.run(&["app"]).failure(1).says(&[place, &format!("error: {message}")]);
    }
}

#[test]
fn a_compose_file_says_where_it_is_wrong() {
    for (text, parts) in [
        (
            "services:\n  app:\n    build:\n      contxt: .\n",
            &["contxt", "compose.yaml:4:7", "did you mean `context`"][..],
        ),
        ("services:\n  app:\n    build:\n      secrets: [s]\n", &["there is no secret `s`", "compose.yaml:4:17"]),
        (
            "services:\n  app:\n    build:\n      additional_contexts: {x: 'service:ap'}\n",
            &["there is no service `ap`", "did you mean `app`"],
        ),
        ("services:\n  app: {}\n", &["neither an image nor a build", "compose.yaml:2:3"]),
        ("volumes: {}\n", &["empty compose file"]),
    ] {
        Case::new(&[("compose.yaml", text)]).run(&["app", "--print"]).failure(1).says(parts);
    }
}
