//! Which tags a push moves: the rule, first without a registry.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use ocibake::oci::Digest;
use ocibake::plan::{Branch, version};
use ocibake::release::ratchet::{Obstacle, Pushed, Standing, TagChange, change, releases};
use ocibake::release::tag::{PlannedTag, fan_out, from_template};
use proptest::prelude::*;
use semver::Version;

use crate::support::docker_registry::DockerRegistry;
use crate::support::noise::noise;
use crate::support::standing::read_by_skopeo;
use crate::support::tool::require;
use crate::support::world::World;

/// A registry's tags, each with the number of the push that set it, and what that push said of itself.
#[derive(Default)]
struct Model {
    tags: BTreeMap<String, Push>,
    lists: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Push {
    number: usize,
    version: Option<Version>,
}

impl Push {
    fn digest(&self) -> Digest {
        Digest::of(self.number.to_string().as_bytes())
    }
}

impl Model {
    fn lists(lists: bool) -> Self {
        Model { tags: BTreeMap::new(), lists }
    }

    /// What the rule says of each tag of a push.
    fn changes(&self, planned: &[PlannedTag], push: &Push) -> Vec<(String, TagChange)> {
        let listed: Vec<String> = self.tags.keys().cloned().collect();
        let releases = self.lists.then(|| releases(&listed, planned, push.version.as_ref()));
        let pushed = Pushed { root: push.digest(), version: push.version.clone() };
        let standing = |tag: &PlannedTag| {
            self.tags.get(&tag.name).map(|push| Standing { digest: push.digest(), version: push.version.clone() })
        };
        let change = |tag: &PlannedTag| change(tag, &pushed, standing(tag), releases.as_deref());
        planned.iter().map(|tag| (tag.name.clone(), change(tag))).collect()
    }

    fn push(&mut self, planned: &[PlannedTag], push: &Push) {
        for (name, change) in self.changes(planned, push) {
            if matches!(change, TagChange::New | TagChange::Moves { .. }) {
                self.tags.insert(name, push.clone());
            }
        }
    }

    fn release(&mut self, number: usize, tag: &str) {
        self.push(&fan_out(tag, None).unwrap().tags, &Push { number, version: version::of_tag(tag) });
    }

    /// The number of the push that a tag stands for.
    fn number(&self, tag: &str) -> Option<usize> {
        self.tags.get(tag).map(|push| push.number)
    }

    /// What a push of `tag` would do, tag by tag, as users read it.
    fn plan(&self, tag: &str) -> Vec<String> {
        let push = Push { number: usize::MAX, version: version::of_tag(tag) };
        let digest_of = |number: usize| Push { number, version: None }.digest().to_string();
        let text =
            |text: String| (0..9).fold(text, |text, number| text.replace(&digest_of(number), &format!("#{number}")));
        let changes = self.changes(&fan_out(tag, None).unwrap().tags, &push);
        changes.into_iter().map(|(name, change)| text(format!("{name}: {change}"))).collect()
    }
}

#[test]
fn an_older_release_takes_what_is_its_own() {
    for lists in [true, false] {
        let mut model = Model::lists(lists);
        model.release(1, "v0.1.8");
        model.release(2, "v0.2.0");
        let expected = [
            "v0.1.9: new",
            "0.1.9: new",
            "0.1: moves from #1 (0.1.8)",
            "0: stays (0.2.0 is newer)",
            "latest: stays (0.2.0 is newer)",
        ];
        assert_eq!(model.plan("v0.1.9"), expected, "the registry lists tags: {lists}");
        let expected = ["v1.0.0: new", "1.0.0: new", "1.0: new", "1: new", "latest: moves from #2 (0.2.0)"];
        assert_eq!(model.plan("v1.0.0"), expected);
        assert_eq!(model.plan("v1.0.0-rc.1"), ["v1.0.0-rc.1: new", "1.0.0-rc.1: new"]);
        let again = ["v0.2.0", "0.2.0", "0.2", "0", "latest"].map(|tag| format!("{tag}: moves from #2 (0.2.0)"));
        assert_eq!(model.plan("v0.2.0"), again, "made anew, it is as new as it was");
    }
}

#[test]
fn a_release_that_no_floating_tag_stands_for_counts_where_tags_are_listed() {
    let mut model = Model::lists(true);
    let exact: Vec<_> = fan_out("v0.2.0", None).unwrap().tags.into_iter().take(1).collect();
    model.push(&exact, &Push { number: 1, version: version::of_tag("v0.2.0") });
    let expected = [
        "v0.1.9: new",
        "0.1.9: new",
        "0.1: new",
        "0: stays unset (0.2.0 is newer)",
        "latest: stays unset (0.2.0 is newer)",
    ];
    assert_eq!(model.plan("v0.1.9"), expected);
}

#[test]
fn build_metadata_does_not_count() {
    for lists in [true, false] {
        let mut model = Model::lists(lists);
        model.release(1, "v1.2.3+b2");
        model.release(2, "v1.2.3+b1");
        assert_eq!(model.number("latest"), Some(2), "one is as new as the other");
        model.release(3, "v1.2.2");
        // `1.2.3-b1` in a list could as well be a pre-release.
        assert_eq!(model.number("1.2"), Some(2));
        model.release(4, "v1.2.3");
        assert_eq!(model.number("1.2"), Some(4));
    }
}

#[test]
fn latest_is_for_releases_once_there_are_any() {
    let main = Branch { name: "main".to_owned(), commit: "0123456789".to_owned(), is_default: true };
    let planned = fan_out("main", Some(&main)).unwrap().tags;
    for lists in [true, false] {
        let mut model = Model::lists(lists);
        let build = |number| Push { number, version: None };
        model.push(&planned, &build(1));
        model.push(&planned, &build(2));
        assert_eq!((model.number("main"), model.number("latest")), (Some(2), Some(2)));
        model.release(3, "v0.1.0");
        assert_eq!(model.number("latest"), Some(3));
        let changes = model.changes(&planned, &build(4));
        let stays = Obstacle::Release(Version::new(0, 1, 0));
        assert!(matches!(&changes[2].1, TagChange::Stays { because, .. } if *because == stays), "{changes:?}");
        model.push(&planned, &build(4));
        assert_eq!((model.number("main"), model.number("latest")), (Some(4), Some(3)));
    }
}

#[test]
fn variants_compete_with_their_like() {
    let template = "{tag}-alpine,{version}-alpine,{major}.{minor}-alpine,{major}-alpine,alpine";
    let push = |model: &mut Model, number, tag: &str, template: &str| {
        model.push(&from_template(template, tag, None).unwrap().tags, &Push { number, version: version::of_tag(tag) });
    };
    for lists in [true, false] {
        let mut model = Model::lists(lists);
        model.release(1, "v0.3.0");
        push(&mut model, 2, "v0.1.0", template);
        assert_eq!(model.number("alpine"), Some(2), "0.3.0 is no alpine");
        push(&mut model, 3, "v0.2.0", template);
        push(&mut model, 4, "v0.1.1", template);
        let numbers = ["0.1-alpine", "0-alpine", "alpine", "latest"].map(|tag| model.number(tag));
        assert_eq!(numbers, [Some(4), Some(3), Some(3), Some(1)]);
        // Even where a template names them, a pre-release moves no floating tag.
        push(&mut model, 5, "v0.4.0-rc.1", template);
        let numbers = ["v0.4.0-rc.1-alpine", "alpine"].map(|tag| model.number(tag));
        assert_eq!(numbers, [Some(5), Some(3)]);
    }
}

/// Small numbers, so that the same line, and the same version, comes up often.
fn tags() -> impl Strategy<Value = Vec<String>> {
    let extra = prop_oneof![4 => Just(""), 1 => Just("-rc.1"), 1 => Just("-alpha"), 1 => Just("+b1"), 1 => Just("+b2")];
    let tag = ("v?", 0u64..3, 0u64..3, 0u64..3, extra);
    let tag = tag.prop_map(|(v, major, minor, patch, extra)| format!("{v}{major}.{minor}.{patch}{extra}"));
    proptest::collection::vec(tag, 1..24)
}

/// Whatever is pushed in whatever order: each floating tag stands for the newest release of its line and, of those
/// that are equally new, for the one that was pushed last; each exact tag for what was pushed last under it.
fn expected(pushed: &[String]) -> BTreeMap<String, usize> {
    let mut floating: BTreeMap<String, ((u64, u64, u64), usize)> = BTreeMap::new();
    let mut exact: BTreeMap<String, usize> = BTreeMap::new();
    for (number, tag) in pushed.iter().enumerate() {
        let plain = tag.trim_start_matches('v');
        for name in [tag.as_str(), plain] {
            exact.insert(name.replace('+', "-"), number);
        }
        if plain.contains('-') {
            continue;
        }
        let numbers: Vec<u64> = plain.split('+').next().unwrap().split('.').map(|n| n.parse().unwrap()).collect();
        let this = ((numbers[0], numbers[1], numbers[2]), number);
        for name in [format!("{}.{}", numbers[0], numbers[1]), numbers[0].to_string(), "latest".to_owned()] {
            let best = floating.entry(name).or_insert(this);
            *best = this.max(*best);
        }
    }
    let floating = floating.into_iter().map(|(name, (_, number))| (name, number));
    exact.into_iter().chain(floating).collect()
}

#[test]
fn a_real_registry_comes_to_the_same() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let seed = RandomState::new().hash_one(0);
    println!("the seed is {seed}");
    let fate = noise(seed, 4 * 12);
    let extras = ["", "", "", "-rc.1", "+b1"];
    let tag = |bytes: &[u8]| {
        let v = if bytes[3].is_multiple_of(2) { "v" } else { "" };
        let extra = extras[usize::from(bytes[3] / 2) % extras.len()];
        format!("{v}{}.{}.{}{extra}", bytes[0] % 2, bytes[1] % 2, bytes[2] % 3)
    };
    let pushed: Vec<String> = fate.chunks(4).map(tag).collect();
    let world = World::new("platforms = [\"linux/amd64\"]\n[[layer]]\nadd = [{ from = \"files\", to = \"/\" }]\n");
    let registry = DockerRegistry::open();
    let repository = format!("{}/org/app", registry.address());
    let mut digests = Vec::new();
    for (number, tag) in pushed.iter().enumerate() {
        world.change(&number.to_string());
        let outcome = world.push(&format!("{repository}:{tag}"), &[world.context()]).success();
        digests.push(outcome.stdout.trim().rsplit_once('@').unwrap().1.to_owned());
    }
    let expected = expected(&pushed).into_iter().map(|(tag, number)| (tag, digests[number].clone()));
    assert_eq!(read_by_skopeo(&repository), expected.collect(), "{pushed:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn floating_tags_stand_for_the_newest_of_their_line(pushed in tags(), lists: bool) {
        let mut model = Model::lists(lists);
        pushed.iter().enumerate().for_each(|(number, tag)| model.release(number, tag));
        let actual: BTreeMap<String, usize> = model.tags.iter().map(|(tag, push)| (tag.clone(), push.number)).collect();
        prop_assert_eq!(actual, expected(&pushed));
    }

    /// What is pushed again changes nothing.
    #[test]
    fn the_same_again_is_the_same(pushed in tags(), lists: bool) {
        let mut model = Model::lists(lists);
        pushed.iter().enumerate().for_each(|(number, tag)| model.release(number, tag));
        let (number, tag) = (pushed.len() - 1, &pushed[pushed.len() - 1]);
        let push = Push { number, version: version::of_tag(tag) };
        for (name, change) in model.changes(&fan_out(tag, None).unwrap().tags, &push) {
            prop_assert!(matches!(change, TagChange::Same | TagChange::Stays { .. }), "{}: {}", name, change);
        }
    }
}
