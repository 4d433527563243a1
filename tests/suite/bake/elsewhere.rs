//! Definitions that come from elsewhere.

use serde_json::json;

use super::Case;
use crate::support::git_server::GitServer;

#[test]
fn a_definition_is_read_from_a_repository() {
    let server = GitServer::new();
    let repository = server.repository("app");
    repository
        .write("docker-bake.hcl", "target \"default\" {\n  contexts = { cmd = BAKE_CMD_CONTEXT }\n}\ntarget \"sub\" {\n  context = \"./sub/\"\n}\n")
        .write("other.hcl", "target \"default\" {\n  context = \"cwd://here\"\n}\n")
        .commit(1);
    let url = server.url("app");
    let case = Case::new(&[("own.hcl", "target \"default\" {\n  tags = [\"own\"]\n}\n")]);
    let target = case.target(&[&url]);
    assert_eq!((&target["context"], &target["contexts"]), (&json!(url), &json!({"cmd": "cwd://"})));
    assert_eq!(case.target(&[&url, "sub"])["context"], "sub");
    assert_eq!(case.target(&[&url, &url, "default"])["contexts"], json!({"cmd": url}));
    assert_eq!(case.target(&[&url, "-f", "other.hcl"])["context"], "here");
    let target = case.target(&[&url, "-f", "docker-bake.hcl", "-f", "cwd://own.hcl"]);
    assert_eq!((&target["context"], &target["tags"]), (&json!(url), &json!(["own"])));
    case.run(&[&url, "-f", "none.hcl", "--print"]).failure(1).says(&["there is no file none.hcl in"]);
}
