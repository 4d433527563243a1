//! Images in Kubernetes manifests, kustomizations and Helm values, and digests in their place.

use ocibake::error::Error;
use ocibake::oci::Digest;
use ocibake::plan::mention::{ImageMention, MentionText};
use proptest::prelude::*;

/// What is behind the names of `known` images in the expected text, as `@D`.
fn digest() -> Digest {
    Digest::of(b"the image")
}

fn read(file: &str, text: &str) -> MentionText {
    MentionText::read(file, text.to_owned()).unwrap_or_else(|error| panic!("{error}: {:?}", error.excerpt))
}

/// Every image of `registry.example/team` has the digest, and no other has one.
fn resolved(file: &str, text: &str) -> String {
    let is_ours = |mention: &ImageMention| mention.name.name().starts_with("registry.example/team/").then(digest);
    let resolved = read(file, text).resolved(is_ours).replace(&digest().to_string(), "D");
    assert_eq!(resolved.matches("sha256:").count(), text.matches("sha256:").count());
    resolved
}

#[track_caller]
fn stays(file: &str, text: &str) {
    assert_eq!(resolved(file, text), text);
}

fn names(text: &str) -> Vec<String> {
    read("a.yaml", text).mentions().iter().map(|mention| mention.name.to_string()).collect()
}

fn refusal(text: &str) -> Error {
    MentionText::read("k8s/a.yaml", text.to_owned()).unwrap_err()
}

#[test]
fn every_image_of_every_document_gets_its_digest_and_nothing_else_changes() {
    let text = r#"# The API, and what it needs.
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, labels: {image: registry.example/team/api:v1}}   # flow
spec:
    template:
      spec:
        initContainers:
        -   name: migrate
            image:   "registry.example/team/migrate:v1"   # was "registry.example/team/migrate:v1"
        containers:
          - image: registry.example/team/api:v1
            name: 'api'
            args: [--image=registry.example/team/api:v1]
          - {name: proxy, image: 'registry.example/team/proxy', imagePullPolicy: Always}
          - name: redis
            image: redis:7
        volumes:
        - name: model
          image: {reference: registry.example/team/model:v1, pullPolicy: IfNotPresent}
--- # The nightly job
apiVersion: batch/v1
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: registry.example/team/job:v1}]}}}}}
---
apiVersion: v1
kind: List
items:
- kind: Pod
  spec:
    containers:
    - image: >-
        registry.example/team/web:v1
...
---
kind: Cluster
spec:
  image: registry.example/team/operand@sha256:0000000000000000000000000000000000000000000000000000000000000000
  backup: {image: !!str "registry.example/team/backup:v1"}
"#;
    let expected = text
        .replace("{image: registry.example/team/api:v1}}   #", "{image: registry.example/team/api@D}}   #")
        .replace("\"registry.example/team/migrate:v1\"   # was", "\"registry.example/team/migrate@D\"   # was")
        .replace("- image: registry.example/team/api:v1", "- image: registry.example/team/api@D")
        .replace("'registry.example/team/proxy'", "'registry.example/team/proxy@D'")
        .replace("team/model:v1", "team/model@D")
        .replace("team/job:v1", "team/job@D")
        .replace("team/web:v1", "team/web@D")
        .replace("team/backup:v1", "team/backup@D");
    assert_eq!(resolved("k8s/all.yaml", text), expected);
}

#[test]
fn json_stays_json() {
    let text = "{\n\t\"kind\": \"List\",\"items\": [\n\t\t{\"image\":\"registry.example/team/api:v1\"},\n\t\t\
                {\"image\" : \"registry.example\\/team\\/web:v1\", \"other\": \"registry.example/team/api:v1\"}]}";
    let expected = "{\n\t\"kind\": \"List\",\"items\": [\n\t\t{\"image\":\"registry.example/team/api@D\"},\n\t\t\
                {\"image\" : \"registry.example/team/web@D\", \"other\": \"registry.example/team/api:v1\"}]}";
    assert_eq!(resolved("a.json", text), expected);
    serde_json::from_str::<serde_json::Value>(&resolved("a.json", text)).unwrap();
}

#[test]
fn line_ends_other_letters_and_a_byte_order_mark_stay() {
    let text = "\u{feff}# Größe 🦀\r\nname: \"é🦀\"\r\nimage: registry.example/team/api:v1 # ✓\r\nnext: ü\r\n---\r\n\
                ä: 🦀\r\nimage: 'registry.example/team/web:v1'";
    let expected = text.replace("api:v1", "api@D").replace("web:v1", "web@D");
    assert_eq!(resolved("a.yaml", text), expected);
}

#[test]
fn what_an_anchor_names_is_changed_where_it_is_an_image() {
    // It is one itself: what is an alias of it follows.
    let own = "a: {image: &api registry.example/team/api:v1}\nb: {image: *api}\n";
    assert_eq!(resolved("a.yaml", own), "a: {image: &api registry.example/team/api@D}\nb: {image: *api}\n");
    // It is something else, too, and stays.
    let other =
        "x-name: &api registry.example/team/api:v1\na: {image: *api}\nb:\n  image: *api # again\nc: {text: *api}\n";
    assert_eq!(
        resolved("a.yaml", other),
        "x-name: &api registry.example/team/api:v1\na: {image: registry.example/team/api@D}\nb:\n  image: \
         registry.example/team/api@D # again\nc: {text: *api}\n"
    );
    let mapping =
        "x: &values {repository: registry.example/team/api, tag: v1}\na: {image: *values}\nb: {image: *values}\n";
    assert_eq!(resolved("values.yaml", mapping), mapping.replace("v1", "v1@D"));
    let merged = "x: &pod\n  image: registry.example/team/api:v1\na:\n  <<: *pod\n  name: b\n";
    assert_eq!(resolved("a.yaml", merged), merged.replace(":v1", "@D"));
}

#[test]
fn a_kustomization_gets_digests_in_the_place_of_new_tags() {
    let text = "\
resources: [base]
images:
# the API
- name: api
  newName: registry.example/team/api
  newTag: v1.0.0 # set by CI
- name: registry.example/team/web
  newTag: \"1.0\"
- {name: worker, newName: registry.example/team/worker, newTag: v1}
- name: registry.example/team/plain
- name: job
  newName: 'registry.example/team/job' # no tag
- {name: registry.example/team/flow}
- name: done
  newName: registry.example/team/done
  digest: sha256:0000000000000000000000000000000000000000000000000000000000000000
- name: open
  newName: registry.example/team/open
  digest: ''
- name: redis
  newTag: '7'
";
    let expected = text
        .replace("newTag: v1.0.0 #", "digest: D #")
        .replace("newTag: \"1.0\"", "digest: \"D\"")
        .replace("newTag: v1}", "digest: D}")
        .replace("team/plain\n", "team/plain\n  digest: D\n")
        .replace("'registry.example/team/job' # no tag\n", "'registry.example/team/job' # no tag\n  digest: D\n")
        .replace("team/flow}", "team/flow, digest: D}")
        .replace("digest: ''", "digest: 'D'");
    assert_eq!(resolved("overlays/production/kustomization.yaml", text), expected);
    let known =
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nimages:\n- name: registry.example/team/a";
    assert_eq!(resolved("any.yaml", known), format!("{known}\n  digest: D"));
    // Elsewhere a list of images with names may be anything.
    stays("other.yaml", "images:\n- name: registry.example/team/plain\n");
    assert_eq!(
        resolved("flux.yaml", "spec:\n  images:\n  - name: a\n    newName: registry.example/team/a\n    newTag: v1\n"),
        "spec:\n  images:\n  - name: a\n    newName: registry.example/team/a\n    digest: D\n"
    );
}

#[test]
fn helm_values_get_a_digest_or_one_behind_the_tag() {
    let text = "\
image:
  registry: registry.example
  repository: team/api
  tag: v1.0.0
  digest: \"\"   # overrides the tag
sidecar:
  image: {repository: registry.example/team/sidecar, tag: \"1.10\", pullPolicy: Always}
worker:
  image:
    repository: registry.example/team/worker
    tag: 1.10
    digest:
web:
  image:
    repository: registry.example/team/web
    digest: ~
cron:
  image: registry.example/team/cron:v1
done:
  image: {repository: registry.example/team/done, tag: v1, digest: 'sha256:0000000000000000000000000000000000000000000000000000000000000000'}
  image: {repository: registry.example/team/done, tag: 'v1@sha256:0000000000000000000000000000000000000000000000000000000000000000'}
redis:
  image: {registry: docker.io, repository: bitnami/redis, tag: 7.4}
";
    let expected = text
        .replace("digest: \"\"", "digest: \"D\"")
        .replace("\"1.10\"", "\"1.10@D\"")
        .replace("    digest:\nweb", "    digest: D\nweb")
        .replace("digest: ~", "digest: D")
        .replace("team/cron:v1", "team/cron@D");
    assert_eq!(resolved("values.yaml", text), expected);
    let all = names(text);
    assert!(all.contains(&"registry.example/team/api:v1.0.0".to_owned()), "{all:?}");
    assert!(all.contains(&"docker.io/bitnami/redis:7.4".to_owned()), "{all:?}");
    // There is no place for a digest: the chart takes its own version for the tag.
    let without = read("values.yaml", "image: {repository: registry.example/team/api, tag: ''}\n");
    assert_eq!(without.mentions().iter().map(|mention| mention.has_place()).collect::<Vec<_>>(), [false]);
    assert_eq!(without.resolved(|_| Some(digest())), "image: {repository: registry.example/team/api, tag: ''}\n");
}

#[test]
fn what_is_resolved_once_stays_as_it_is() {
    let text = "image: registry.example/team/api:v1\nb: {image: {repository: registry.example/team/b, tag: v1}}\n\
                images: [{name: registry.example/team/c, newTag: v1}]\n";
    let once = read("kustomization.yaml", text).resolved(|_| Some(digest()));
    assert_eq!(once.matches(&digest().to_string()).count(), 3);
    assert_eq!(read("kustomization.yaml", &once).resolved(|_| Some(Digest::of(b"another"))), once);
    assert_eq!(read("kustomization.yaml", &once).mentions().len(), 0);
}

#[test]
fn templates_are_left_alone_and_told_of() {
    let template = "{{- if .Values.on }}\nimage: registry.example/team/api:v1\n{{- end }}\n";
    stays("templates/a.yaml", template);
    assert_eq!(read("a.yaml", template).template(), Some(1));
    // The documents beside it are none.
    let mixed =
        format!("image: registry.example/team/web:v1\n---\n{template}---\nimage: registry.example/team/web:v1\n");
    assert_eq!(resolved("a.yaml", &mixed), mixed.replace("web:v1", "web@D"));
    assert_eq!(read("a.yaml", &mixed).template(), Some(2));
    let values = "a: {image: \"{{ .Values.image }}\"}\nb: {image: \"registry.example/team/api:{{ .Values.tag }}\"}\n\
                  c:\n  image: ${REGISTRY}/api:v1\nd:\n  image: registry.example/team/api:v1\n";
    assert_eq!(
        resolved("a.yaml", values),
        values.replace("d:\n  image: registry.example/team/api:v1", "d:\n  image: registry.example/team/api@D")
    );
    assert_eq!(read("a.yaml", values).template(), None);
}

#[test]
fn what_is_no_name_is_none() {
    let text = "a: {image: }\nb: {image: ''}\nc: {image: true}\nd: {image: 12}\ne: {image: 1.5}\nf: {image: [a]}\ng: {image: ~}\n\
                h: {image: ko://github.com/a/b}\ni: {image: A/B}\nj: {image: {name: a}}\nk: {image: 'a b'}\nl: {image: |\n  a\n  b\n  }\n";
    let text = text.replace("l: {image: |\n  a\n  b\n  }\n", "l:\n  image: |\n    a\n    b\n");
    assert_eq!(names(&text), [""; 0]);
    assert_eq!(names("image: infinity\n"), ["docker.io/library/infinity"]);
}

#[test]
fn what_is_no_yaml_is_refused_with_its_line() {
    let error = refusal("a: b\nimage: [\n---\nb: c\n");
    assert!(error.message.starts_with("this is not YAML: "), "{error}");
    let excerpt = error.excerpt.unwrap();
    assert_eq!((excerpt.file.as_str(), excerpt.line), ("k8s/a.yaml", 3));
    let error = refusal("a: b\n---\nc: 'd\n");
    assert_eq!(error.excerpt.unwrap().line, 3);
}

#[test]
fn images_know_their_lines() {
    let text = "a: {image: b}\n---\n\nimages: [{name: c, newTag: d}]\nimage: &e !!str\n  e\n---\n# é\nimage: {repository: f, tag: g}\n";
    let read = read("a.yaml", text);
    let told: Vec<_> = read.mentions().iter().map(|mention| (mention.name.repository(), mention.line)).collect();
    assert_eq!(told, [("library/b", 1), ("library/c", 4), ("library/e", 6), ("library/f", 9)]);
}

#[test]
fn depth_and_numbers_have_an_end() {
    let deep = refusal(&"[".repeat(100_000));
    assert_eq!(deep.message, "this is not YAML: recursion limit exceeded");
    let deep = refusal(&(0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>());
    assert_eq!(deep.message, "values are nested more than 200 deep");
    let many = refusal(&"- a\n- b\n".repeat(500_001));
    assert_eq!(many.message, "k8s/a.yaml has more than 1000000 values");
    // Aliases are not followed, so that they cost nothing.
    let bomb: String = (1..60).map(|at| format!("a{at}: &a{at} [*a{0}, *a{0}]\n", at - 1)).collect();
    assert_eq!(names(&format!("a0: &a0 {{image: a}}\n{bomb}")), ["docker.io/library/a"]);
    assert_eq!(refusal("a: &a [*a]").message, "this alias is inside what it is an alias of");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_none_changes_where_nothing_is_known(text in "[ -~\n\t\r:\\-{}\\[\\]&*'\"#!|>é]{0,200}") {
        if let Ok(read) = MentionText::read("a.yaml", text.clone()) {
            prop_assert_eq!(read.resolved(|_| None), text);
            let _ = read.resolved(|_| Some(digest()));
        }
    }

    #[test]
    fn names_get_digests_wherever_they_stand(
        key in "[a-zé]{1,8}",
        indent in 0_usize..6,
        quote in "|'|\"",
        comment in "| # [ -~]{0,20}",
        end in "\n|\r\n",
    ) {
        let spaces = " ".repeat(indent);
        let text = |image: &str| format!("{key}x:{end}{spaces} - b: c{end}{spaces}   image: {quote}{image}{quote}{comment}{end}");
        prop_assert_eq!(resolved("a.yaml", &text("registry.example/team/api:v1")), text("registry.example/team/api@D"));
    }
}
