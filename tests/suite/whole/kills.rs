//! Builds that are killed at any moment leave a store that is sound, and no output that is not whole.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::support::listing::digest;
use crate::support::noise::noise;
use crate::support::program::Program;
use crate::support::traces::{assert_records_hold, assert_store_is_sound, names_in};
use crate::support::tree::Tree;
use crate::support::world::World;

const SPEC: &str = "name = \"example/killed\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
                    [[layer]]\nname = \"many\"\nadd = [{ from = \"many\", to = \"/\" }]\n\
                    [[layer]]\nname = \"large\"\nadd = [{ from = \"large\", to = \"/opt/\" }]\n";

const KILLS: usize = 200;

const COMPRESSIONS: [&str; 4] = ["gzip:1", "gzip:6", "zstd:1", "none"];

/// What may be different in the tree.
const CONTENTS: [&str; 3] = ["one", "another", "a third, which is longer"];

#[test]
fn two_hundred_kills_at_random_moments() {
    let mut killed = Killed::new();
    let mut kills = 0;
    for round in 0..2 * KILLS {
        if kills == KILLS {
            break;
        }
        killed.change();
        kills += usize::from(killed.kill());
        killed.check_blobs();
        if round % 8 == 7 {
            killed.build_to_the_end();
        }
    }
    assert_eq!(kills, KILLS, "the other builds were done before");
    killed.build_to_the_end();
}

/// One store, and a tree and a compression that change.
struct Killed {
    world: World,
    /// Unpredictable bytes, made of a seed that is printed.
    fate: std::vec::IntoIter<u8>,
    content: usize,
    compression: usize,
    /// Digest and archive (its SHA-256) of each state, as a store of its own gives them.
    expected: HashMap<(usize, usize), (String, String)>,
    /// The SHA-256 of the archive that is there.
    present: String,
    /// How long a build takes.
    whole: [Duration; COMPRESSIONS.len()],
    /// Blobs that held, as they were then: file, time and size.
    seen: HashMap<String, (u64, SystemTime, u64)>,
}

impl Killed {
    fn new() -> Self {
        let seed = RandomState::new().hash_one(0);
        println!("the seed is {seed}");
        let tree = Tree::new().file("ocibake.toml", SPEC).file("large/noise", noise(1, 2 << 20));
        let tree = tree.file("large/text", "it repeats itself, ".repeat(60_000)).file("large/changing", CONTENTS[0]);
        let tree = (0..40).fold(tree, |tree, number| tree.file(format!("many/{number}"), noise(number, 9000)));
        let mut killed = Killed {
            world: World::of(&tree.file("many/changing", CONTENTS[0])),
            fate: noise(seed, 1 << 16).into_iter(),
            content: 0,
            compression: 0,
            expected: HashMap::new(),
            present: String::new(),
            whole: [Duration::ZERO; COMPRESSIONS.len()],
            seen: HashMap::new(),
        };
        for compression in 0..COMPRESSIONS.len() {
            killed.compression = compression;
            killed.build_to_the_end();
        }
        killed
    }

    /// A number below `limit`.
    fn draw(&mut self, limit: usize) -> usize {
        let bytes = [(); 4].map(|()| self.fate.next().expect("there are enough"));
        u32::from_le_bytes(bytes) as usize % limit
    }

    fn change(&mut self) {
        self.compression = self.draw(COMPRESSIONS.len());
        let content = self.draw(CONTENTS.len());
        if content != self.content {
            self.content = content;
            // A file of each layer, or of one.
            for file in ["many/changing", "large/changing"] {
                fs::write(self.world.context.path().join(file), CONTENTS[content]).unwrap();
            }
        }
    }

    /// Starts a build and kills it; whether that came before its end.
    fn kill(&mut self) -> bool {
        let output = self.output();
        let jobs = ["1", "2", "8"][self.draw(3)];
        let mut arguments = self.arguments(&output);
        arguments.extend(["--no-stat-cache", "--jobs", jobs].map(str::to_owned));
        let moment = self.whole[self.compression].mul_f64(self.draw(10_000) as f64 / 10_000.0);
        let mut command = self.world.program.command(&arguments);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(moment);
        process.kill().unwrap();
        let done = process.wait().unwrap().success();
        if done {
            // It takes no longer than that, now that the machine may be less busy.
            let whole = &mut self.whole[self.compression];
            *whole = moment.min(*whole);
        }
        if output.exists() {
            let archive = digest(fs::File::open(&output).unwrap()).1;
            // The new one, or the one that was there before.
            assert!([&self.expected().1, &self.present].contains(&&archive), "what is there is whole");
            self.present = archive;
        }
        !done
    }

    /// A build that nobody disturbs.
    fn build_to_the_end(&mut self) {
        self.age();
        let output = self.output();
        let mut arguments = self.arguments(&output);
        arguments.push("--no-stat-cache".to_owned());
        let start = Instant::now();
        let built = self.world.program.run(&arguments).digest();
        self.whole[self.compression] = start.elapsed();
        let archive = digest(fs::File::open(&output).unwrap()).1;
        assert_eq!((built, archive), self.expected());
        // And one that takes what it can from the store.
        arguments.pop();
        let known = self.world.program.run(&arguments).digest();
        assert_eq!(known, self.expected().0);
        // What the killed ones had in the making is old enough by now to be swept away.
        assert_store_is_sound(&self.world.program.store());
        fs::remove_file(output).unwrap();
        for name in self.world.names() {
            assert!(name.starts_with(".ocibake-"), "{name}");
            fs::remove_file(self.world.path(&name)).unwrap();
        }
    }

    fn expected(&mut self) -> (String, String) {
        let state = (self.content, self.compression);
        if !self.expected.contains_key(&state) {
            let output = self.world.path("fresh.tar");
            let built = Program::new().run(self.arguments(&output)).digest();
            self.expected.insert(state, (built, digest(fs::File::open(&output).unwrap()).1));
            fs::remove_file(output).unwrap();
        }
        self.expected[&state].clone()
    }

    /// Every blob is what its name says; those that are as they were when they were looked at are not read again.
    fn check_blobs(&mut self) {
        let blobs = self.world.program.store().join("blobs/sha256");
        for name in names_in(&blobs) {
            let blob = fs::metadata(blobs.join(&name)).unwrap();
            let now = (blob.ino(), blob.modified().unwrap(), blob.len());
            if self.seen.get(&name) != Some(&now) {
                assert_eq!(digest(fs::File::open(blobs.join(&name)).unwrap()).1, name);
                self.seen.insert(name, now);
            }
        }
        assert_records_hold(&self.world.program.store());
    }

    /// Lets what is in the making look as if nobody had written to it for two days.
    fn age(&self) {
        let pending = self.world.program.store().join("tmp");
        if pending.exists() {
            for name in names_in(&pending) {
                let file = fs::File::options().write(true).open(pending.join(name)).unwrap();
                file.set_modified(SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60)).unwrap();
            }
        }
    }

    fn output(&self) -> PathBuf {
        self.world.path("x.tar")
    }

    fn arguments(&self, output: &Path) -> Vec<String> {
        let words = ["build", self.world.context(), "--compression", COMPRESSIONS[self.compression], "-o"];
        words.into_iter().chain(output.to_str()).map(str::to_owned).collect()
    }
}
