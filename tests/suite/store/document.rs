//! A document that is read in two ways by two programs is read by neither way here.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ocibake::image::archive::DockerImage;
use ocibake::oci::{Descriptor, ImageConfig, ImageIndex, ImageManifest, Keyed, Platform, Referrer, from_json};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::handmade::Handmade;
use crate::support::program::Program;
use crate::support::tool::{checked, require, run_with_input};

const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const ONES: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// JSON whose objects may have members twice.
#[derive(Clone, Debug)]
enum Json {
    Object(Vec<(String, Json)>),
    List(Vec<Json>),
    Plain(Value),
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(members) => {
                Json::Object(members.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
            Value::Array(elements) => Json::List(elements.into_iter().map(Json::from).collect()),
            plain => Json::Plain(plain),
        }
    }
}

impl Json {
    fn text(&self) -> String {
        match self {
            Json::Object(members) => {
                let member = |(key, value): &(String, Json)| format!("{}:{}", json!(key), value.text());
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
            Json::List(elements) => format!("[{}]", elements.iter().map(Json::text).collect::<Vec<_>>().join(",")),
            Json::Plain(value) => value.to_string(),
        }
    }

    /// All objects that have members, from the outside in.
    fn objects(&mut self) -> Vec<&mut Vec<(String, Json)>> {
        let mut found = Vec::new();
        let mut paths = vec![self];
        while let Some(at) = paths.pop() {
            match at {
                Json::Object(members) if members.is_empty() => {}
                Json::Object(members) => found.push(members),
                Json::List(elements) => paths.extend(elements),
                Json::Plain(_) => {}
            }
        }
        found
    }

    /// The same for the objects in objects, to a depth.
    fn twist(&mut self, depth: usize, twist: &Twist) {
        let mut objects = self.objects();
        if objects.is_empty() {
            return;
        }
        let nth = twist.object.index(objects.len());
        let members = &mut *objects[nth];
        let member = twist.member.index(members.len());
        let inner = &mut members[member].1;
        if depth > 0 && !inner.objects().is_empty() {
            return inner.twist(depth - 1, twist);
        }
        let (key, value) = &members[member];
        let spelled = twist.spelling.of(key);
        if twist.stays {
            let at = twist.at.index(members.len() + 1);
            members.insert(at, (spelled, other(value)));
        } else {
            members[member].0 = spelled;
        }
    }
}

/// Another value of the same type.
fn other(value: &Json) -> Json {
    match value {
        Json::Plain(Value::String(text)) if text == ZEROS => Json::Plain(ONES.into()),
        Json::Plain(Value::String(text)) => Json::Plain(format!("{text}x").into()),
        Json::Plain(Value::Number(_)) => Json::Plain(7.into()),
        Json::List(_) => Json::List(Vec::new()),
        Json::Object(members) => Json::Object(members.iter().map(|(key, value)| (key.clone(), other(value))).collect()),
        plain => plain.clone(),
    }
}

#[derive(Clone, Copy, Debug)]
enum Spelling {
    Same,
    Upper,
    First,
    LongS,
    Kelvin,
    Another,
}

impl Spelling {
    fn of(self, key: &str) -> String {
        match self {
            Spelling::Same => key.to_owned(),
            Spelling::Upper => key.to_uppercase(),
            Spelling::First => {
                let flip = |c: char| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
                key.char_indices().map(|(at, c)| if at == 0 { flip(c) } else { c }).collect()
            }
            Spelling::LongS => key.replacen(['s', 'S'], "\u{17f}", 1),
            Spelling::Kelvin => key.replacen(['k', 'K'], "\u{212a}", 1),
            Spelling::Another => format!("{key}_"),
        }
    }
}

/// One thing that makes a document odd.
#[derive(Clone, Debug)]
struct Twist {
    depth: usize,
    object: Index,
    member: Index,
    spelling: Spelling,
    /// The member stays as it was, and the other one is set beside it.
    stays: bool,
    at: Index,
}

fn twist() -> impl Strategy<Value = Twist> {
    use Spelling::*;
    let spelling = prop::sample::select(vec![Same, Upper, First, LongS, Kelvin, Another]);
    (0..4_usize, any::<Index>(), any::<Index>(), spelling, any::<bool>(), any::<Index>())
        .prop_map(|(depth, object, member, spelling, stays, at)| Twist { depth, object, member, spelling, stays, at })
}

fn descriptor(media_type: &str) -> Value {
    let platform = json!({"architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1"});
    json!({
        "mediaType": media_type, "digest": ZEROS, "size": 3, "platform": platform,
        "annotations": {"a.key": "1", "A.Key": "2", "size": "3"},
    })
}

fn honest(kind: &str) -> Value {
    let (manifest, index) = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json");
    match kind {
        "manifest" => json!({
            "schemaVersion": 2, "mediaType": manifest, "config": descriptor("a/config"),
            "layers": [descriptor("a/layer"), descriptor("b/layer")], "annotations": {"k": "s", "K": "S"},
        }),
        "index" => json!({
            "schemaVersion": 2, "mediaType": index, "manifests": [descriptor(manifest), descriptor(index)],
            "annotations": {"k": "s"},
        }),
        _ => json!({
            "author": "a", "architecture": "arm", "os": "linux", "variant": "v7",
            "config": {
                "User": "u", "ExposedPorts": {"1/tcp": {}}, "Env": ["A=1"], "Entrypoint": ["e"], "Cmd": ["c"],
                "WorkingDir": "/w", "Labels": {"user": "1", "User": "2"},
            },
            "rootfs": {"type": "layers", "diff_ids": [ZEROS]},
            "history": [{"created_by": "x", "empty_layer": true}, {"created_by": "y"}],
        }),
    }
}

fn ours(kind: &str, text: &str) -> Option<Value> {
    fn value<T: Keyed + serde::Serialize>(text: &str) -> Option<Value> {
        Some(json!(from_json::<T>("it", text.as_bytes()).ok()?))
    }
    match kind {
        "manifest" => value::<ImageManifest>(text),
        "index" => value::<ImageIndex>(text),
        _ => value::<ImageConfig>(text),
    }
}

/// Whether `ours` has all that `gos` has, in which what is empty is left out.
fn has(ours: &Value, gos: &Value) -> bool {
    match (ours, gos) {
        (Value::Object(ours), Value::Object(gos)) => {
            let is_empty = |value: &Value| value.as_object().is_some_and(|object| object.is_empty());
            gos.iter().all(|(key, value)| ours.get(key).map_or(is_empty(value), |ours| has(ours, value)))
        }
        (Value::Array(ours), Value::Array(gos)) => {
            ours.len() == gos.len() && ours.iter().zip(gos).all(|(ours, gos)| has(ours, gos))
        }
        (ours, gos) => ours == gos,
    }
}

/// Where Go's reader, as the tools have it, gets something else out of a document, it is refused.
#[test]
fn what_is_accepted_is_what_go_reads() {
    if !require("go") {
        return;
    }
    let kind = prop::sample::select(vec!["manifest", "index", "config"]);
    let strategy = (kind, prop::collection::vec(twist(), 0..3));
    let mut runner = TestRunner::deterministic();
    let mut documents = Vec::new();
    for _ in 0..6_000 {
        let (kind, twists) = strategy.new_tree(&mut runner).unwrap().current();
        let mut document = Json::from(honest(kind));
        twists.iter().for_each(|twist| document.twist(twist.depth, twist));
        documents.push((kind, document.text()));
    }
    let questions: Vec<Value> =
        documents.iter().map(|(kind, text)| json!({"Kind": kind, "Text": STANDARD.encode(text)})).collect();
    let answers: Vec<Value> = serde_json::from_str(&go(&json!(questions).to_string())).unwrap();
    let (mut accepted, mut differ) = (0, 0);
    for ((kind, text), gos) in documents.iter().zip(&answers) {
        match ours(kind, text) {
            Some(ours) => {
                assert!(has(&ours, gos), "{text}\nours: {ours}\nGo's: {gos}");
                accepted += 1;
            }
            // An exact reader, in the manner of serde_json's own.
            None => {
                let exact: Value = serde_json::from_str(text).unwrap();
                differ += usize::from(!has(&exact, gos));
            }
        }
    }
    assert!(accepted > 1_000 && differ > 1_000, "{accepted} accepted, {differ} of two readings");
}

fn go(questions: &str) -> String {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = place.join("documents");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/documents/main.go");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg(source);
    checked(go.env("GO111MODULE", "off").env("GOCACHE", place.join("go")));
    run_with_input(program.to_str().unwrap(), [""; 0], questions.as_bytes())
}

#[track_caller]
fn assert_refused<T: Keyed + std::fmt::Debug>(text: &str, why: &str) {
    let error = from_json::<T>("it", text.as_bytes()).expect_err(text);
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(format!("{error}: {cause}").contains(why), "{text}: {error}: {cause}");
}

#[test]
fn keys_of_the_specifications_stand_once_and_as_they_are_spelled() {
    let layer = format!(r#"{{"mediaType":"a/b","digest":"{ZEROS}","size":3}}"#);
    let manifest = |rest: &str| format!(r#"{{"schemaVersion":2,"config":{layer},"layers":[{layer}]{rest}}}"#);
    assert!(from_json::<ImageManifest>("it", manifest("").as_bytes()).is_ok());
    for (rest, why) in [
        (r#","layers":[]"#, "`layers` appears twice"),
        (r#","Layers":[]"#, "`Layers`, which some programs take for `layers`"),
        (r#","layer\u017f":[]"#, "for `layers`"),
        (r#","Manifests":[]"#, "for `manifests`"),
        (r#","FSLayers":[]"#, "for `fsLayers`"),
        (r#","manifests":[]"#, "at once"),
        (r#","fsLayers":[]"#, "at once"),
        (r#","mediaType":"application/vnd.oci.image.index.v1+json""#, "at once"),
        (r#","Subject":null"#, "for `subject`"),
        (r#","subject":{"Digest":"x"}"#, "for `digest`"),
        (r#","other":1,"Other":2"#, "`Other` appears twice"),
        (r#","other":{"a":1,"a":2}"#, "`a` appears twice"),
        (r#","annotations":{"a":"1","a":"2"}"#, "`a` appears twice"),
    ] {
        assert_refused::<ImageManifest>(&manifest(rest), why);
    }
    assert!(from_json::<ImageManifest>("it", manifest(r#","mediaType":"","other":{"a":1,"A":2}"#).as_bytes()).is_ok());
    let platform = format!(r#"{{"mediaType":"a","digest":"{ZEROS}","size":3,"platform":{{"os":"linux","OS":"x"}}}}"#);
    assert_refused::<Descriptor>(&platform, "for `os`");
    assert_refused::<Platform>(r#"{"os":"linux","Architecture":"arm"}"#, "for `architecture`");
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"a","digest":"{ZEROS}","\u0053ize":3}}]}}"#);
    assert_refused::<ImageIndex>(&index, "for `size`");
    assert_refused::<Referrer>(&manifest(r#","Subject":{}"#), "for `subject`");
    let image = r#"[{"Config":"c","RepoTags":null,"Layers":["a"],"layers":["b"]}]"#;
    assert_refused::<Vec<DockerImage>>(image, "for `Layers`");
    for (inside, why) in [
        (r#""config":{"env":[]}"#, "for `Env`"),
        (r#""config":{"Cmd":["a"],"Cmd":["b"]}"#, "`Cmd` appears twice"),
        (r#""config":{"Healthcheck":{"test":[]}}"#, "for `Test`"),
        (r#""container_config":{"cmd":[]}"#, "for `Cmd`"),
        (r#""history":[{"Created_By":"x"}]"#, "for `created_by`"),
        (r#""RootFS":{}"#, "for `rootfs`"),
        (r#""OS":"x""#, "for `os`"),
    ] {
        let text =
            format!(r#"{{"architecture":"arm","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}},{inside}}}"#);
        assert_refused::<ImageConfig>(&text, why);
    }
}

#[test]
fn there_is_one_object_and_nothing_beside_it() {
    let text = r#"{"schemaVersion":2,"manifests":[]}"#;
    assert!(from_json::<ImageIndex>("it", format!("\n {text} \n").as_bytes()).is_ok());
    let deep = format!(r#"{{"schemaVersion":2,"manifests":[],"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for odd in [format!("{text}{text}"), format!("{text},"), format!("\u{feff}{text}"), deep, text.replace('2', "NaN")]
    {
        assert_refused::<ImageIndex>(&odd, "is not valid");
    }
    assert!(from_json::<ImageIndex>("it", b"{\"schemaVersion\":2,\"manifests\":[],\"x\":\"\xff\"}").is_err());
    for size in ["1e3", "1.0", "-1", "9223372036854775808", "18446744073709551616", "\"3\"", "null", "true"] {
        let text = format!(r#"{{"mediaType":"a","digest":"{ZEROS}","size":{size}}}"#);
        assert_refused::<Descriptor>(&text, "is not valid");
    }
    let largest = format!(r#"{{"mediaType":"a","digest":"{ZEROS}","size":9223372036854775807}}"#);
    assert_eq!(from_json::<Descriptor>("it", largest.as_bytes()).unwrap().size, i64::MAX as u64);
}

#[test]
fn an_image_of_two_readings_is_neither_shown_nor_copied() {
    let program = Program::new();
    let image = Handmade::new(&[]);
    let honest = image.manifest();
    let text = honest.to_string();
    for odd in [
        text.replace("\"layers\":", "\"Layers\":[],\"layers\":"),
        text.replace("\"layers\":", "\"LAYERS\":"),
        text.replace("\"layers\":", "\"Manifests\":[],\"layers\":"),
        text.replace("\"layers\":", "\"layers\":[],\"layers\":"),
        text.replace("\"digest\":", "\"dige\u{17f}t\":\"x\",\"digest\":"),
    ] {
        assert_ne!(odd, text);
        image.put_manifest(&odd, json!({}));
        let place = format!("oci:{}", image.path().display());
        program.run(["inspect", &place]).failure(1).says(&["is not valid", "caused by:"]);
        program.run(["inspect", "--json", &place]).failure(1);
        program.run(["copy", &place, "-o", "copy.tar"]).failure(1);
        assert!(!program.home().join("copy.tar").exists());
    }
    image.put_manifest(&text, json!({}));
    program.run(["inspect", &format!("oci:{}", image.path().display())]).success();
}
