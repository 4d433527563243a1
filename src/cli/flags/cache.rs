//! The flags about caches of other machines.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::value::value;
use crate::error::{Error, Result};
use crate::oci::{Reference, is_valid_tag};
use crate::plan::quantity::Size;
use crate::source::cached::CacheName;
use crate::source::mount_cache::MountPlace;
use crate::source::step_cache::{ServerUrl, StepDestination, StepPlace};

/// The flags about what earlier builds have left elsewhere.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct CacheFlags {
    /// Take what other machines have built: an image, type=registry,ref=NAME, type=local,src=DIR or type=http,url=URL
    ///
    /// A NAME alone is an image that ocibake has built with the same --compression, on whatever machine, named as for
    /// `inspect`: layers that come out the same are neither compressed here nor sent to the registry that it is in, and steps
    /// that it says it came about by (type=inline) are not done again. With a type it is what --cache-to has written: steps
    /// that were done on the same content are not done again. What cannot be read is a warning.
    #[arg(long, value_name = "CACHE", value_parser = value::<CacheSource>)]
    cache_from: Vec<CacheSource>,
    /// Keep the steps of this build for other machines: type=registry,ref=NAME, type=local,dest=DIR, type=http,url=URL or type=inline
    ///
    /// Each step is kept once, and never changed; of stages that no image has, with mode=max. With type=inline the image says itself
    /// which steps it came about by. What cannot be written is a warning,
    /// and with ignore-error=false an error. Whoever may write there decides what others build: docs/caches.md says more.
    #[arg(long, value_name = "CACHE", value_parser = value::<CacheDestination>)]
    cache_to: Vec<CacheDestination>,
    #[command(flatten)]
    pub shared: SharedCacheFlags,
}

/// Those of the flags that other files than the command line have no words for: they are the command's, whatever it builds.
#[derive(Debug, Clone, Default, Args)]
pub struct SharedCacheFlags {
    /// Keep the directories of `RUN --mount=type=cache` for other machines: NAME, or type=registry,ref=NAME,key=LOCKFILE
    ///
    /// An empty directory is filled from there when a command is about to use it; what commands have changed is written there
    /// when the build ends. `key` names files of the context, such as Cargo.lock or **/go.sum, and may be given more than once:
    /// what was filled for the same content is taken, or else what was written last. mode=pull or mode=push does one alone, and
    /// more than max-size=4g, a tar's, does not travel. What cannot be read or written is a warning.
    #[arg(long, value_name = "CACHE", value_parser = value::<MountPlace>)]
    cache_mounts: Option<MountPlace>,
    /// Sign what --cache-to and --cache-mounts write with the Ed25519 key in this PEM file
    #[arg(long, value_name = "FILE")]
    cache_sign: Option<PathBuf>,
    /// Take only steps and cache mounts that are signed with the key whose public half is in this PEM file
    ///
    /// With this, a repository may be read that others write to, such as the builds of pull requests. Given more than once, any
    /// of the keys will do.
    #[arg(long, value_name = "FILE")]
    cache_verify: Vec<PathBuf>,
}

/// A cache that is read, as docker names it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum CacheSource {
    /// The layers of an image.
    Image(String),
    /// Steps; of a registry, also the layers of the image that has the name.
    Steps(StepPlace),
    /// One that there is nothing to read of.
    Nothing,
    /// A cache of a type that is not available.
    Unavailable(&'static str),
}

/// The cache of a registry, as `--cache-from` names it.
#[derive(Debug, Clone)]
pub struct RegistryCache(pub Reference);

/// A cache that is written, as docker names it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum CacheDestination {
    Steps(StepDestination),
    /// What is in the image itself that is pushed.
    Inline,
    /// A cache of a type that is not available.
    Unavailable(&'static str),
}

/// The types of caches that BuildKit knows, and that are not available here.
const UNAVAILABLE: [&str; 3] = ["azblob", "gha", "s3"];

/// The most that a cache mount has, in bytes, unless something else is asked for.
const USUAL_MOUNT: u64 = 4 << 30;

/// The tags of entries begin with that of the cache, and have to be tags, too.
const LONGEST_TAG: usize = 58;

impl CacheFlags {
    /// Takes what there is in another cache, as docker names it.
    pub fn take_from(&mut self, text: &str) -> Result<()> {
        self.cache_from.push(text.parse()?);
        Ok(())
    }

    /// Takes a place for a cache, as docker names it.
    pub fn put_to(&mut self, text: &str) -> Result<()> {
        self.cache_to.push(text.parse()?);
        Ok(())
    }

    /// Returns the images whose layers are taken.
    pub fn images(&self) -> Vec<CacheName> {
        let image = |cache: &CacheSource| match cache {
            CacheSource::Image(name) => Some(CacheName { title: name.clone(), may_be_missing: false }),
            CacheSource::Steps(StepPlace::Registry(name)) => {
                Some(CacheName { title: name.to_string(), may_be_missing: true })
            }
            CacheSource::Steps(StepPlace::Directory(_) | StepPlace::Server(_))
            | CacheSource::Nothing
            | CacheSource::Unavailable(_) => None,
        };
        self.cache_from.iter().filter_map(image).collect()
    }

    /// Returns the places that steps are looked for in.
    pub fn sources(&self) -> Vec<StepPlace> {
        let place = |cache: &CacheSource| match cache {
            CacheSource::Steps(place) => Some(place.clone()),
            CacheSource::Image(_) | CacheSource::Nothing | CacheSource::Unavailable(_) => None,
        };
        self.cache_from.iter().filter_map(place).collect()
    }

    /// Returns the places that steps are written to.
    pub fn destinations(&self) -> Vec<StepDestination> {
        let place = |cache: &CacheDestination| match cache {
            CacheDestination::Steps(destination) => Some(destination.clone()),
            CacheDestination::Inline | CacheDestination::Unavailable(_) => None,
        };
        self.cache_to.iter().filter_map(place).collect()
    }

    /// Returns whether images say which steps they came about by.
    pub fn tells_steps(&self, is_squashed: bool) -> Result<bool> {
        if !self.cache_to.contains(&CacheDestination::Inline) {
            return Ok(false);
        }
        if is_squashed {
            return Err(Error::usage(
                "--cache-to type=inline lists the layers of an image, but --squash merges them into one",
            ));
        }
        // Else what was signed would depend on what the cache has.
        let takes = !self.cache_from.is_empty() || self.mounts().is_some_and(|mounts| mounts.pulls);
        if self.shared.cache_sign.is_some() && self.shared.cache_verify.is_empty() && takes {
            let message = "--cache-to type=inline does not sign what --cache-from or --cache-mounts takes from anyone";
            return Err(Error::usage(message).with_hint("add --cache-verify KEY, so that only what is signed is taken"));
        }
        Ok(true)
    }

    /// Returns where cache mounts travel to and from.
    pub fn mounts(&self) -> Option<&MountPlace> {
        self.shared.cache_mounts.as_ref()
    }

    /// Returns the file of the key that steps are signed with.
    pub fn signing_key(&self) -> Option<&Path> {
        self.shared.cache_sign.as_deref()
    }

    /// Returns the files of the keys of which one has to have signed a step.
    pub fn verifying_keys(&self) -> &[PathBuf] {
        &self.shared.cache_verify
    }

    /// Returns what there is to say of caches that are asked for and are not there, each once: a cache is a help, and nothing
    /// that a build needs.
    pub fn missing(&self) -> BTreeSet<String> {
        let unavailable = |kind: &str| format!("the cache type {kind} is not available: building without it");
        let from = self.cache_from.iter().filter_map(|cache| match cache {
            CacheSource::Unavailable(kind) => Some(unavailable(kind)),
            CacheSource::Image(_) | CacheSource::Steps(_) | CacheSource::Nothing => None,
        });
        let to = self.cache_to.iter().filter_map(|cache| match cache {
            CacheDestination::Unavailable(kind) => Some(unavailable(kind)),
            CacheDestination::Inline | CacheDestination::Steps(_) => None,
        });
        from.chain(to).collect()
    }
}

impl FromStr for RegistryCache {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.parse()? {
            CacheSource::Image(name) => name.parse().map(RegistryCache),
            CacheSource::Steps(StepPlace::Registry(name)) => Ok(RegistryCache(name)),
            CacheSource::Steps(_) | CacheSource::Nothing | CacheSource::Unavailable(_) => {
                Err(Error::usage(format!("`{text}` is not the cache of a registry"))
                    .with_hint("write it as type=registry,ref=NAME"))
            }
        }
    }
}

impl FromStr for CacheSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(fields) = Fields::read(text) else { return Ok(CacheSource::Image(text.to_owned())) };
        Ok(match fields.kind() {
            "inline" => CacheSource::Nothing,
            "registry" => {
                let name = fields.needed("ref", "it does not say which cache: add ref=NAME")?;
                let reference: Reference = name.parse()?;
                match reference.digest() {
                    None => CacheSource::Steps(StepPlace::Registry(checked(reference)?)),
                    // It stands for one image for ever, beside which nothing is written.
                    Some(_) => CacheSource::Image(name.to_owned()),
                }
            }
            "local" => {
                let path = fields.needed("src", "it does not say which directory: add src=DIR")?;
                CacheSource::Steps(StepPlace::Directory(PathBuf::from(path)))
            }
            "http" => CacheSource::Steps(StepPlace::Server(fields.server()?)),
            kind => CacheSource::Unavailable(unavailable(kind)?),
        })
    }
}

impl FromStr for CacheDestination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // So docker has it: a name alone is a registry's.
        let registry = [("type", "registry"), ("ref", text)];
        let fields = Fields::read(text).unwrap_or_else(|| Fields(registry.to_vec()));
        let place = match fields.kind() {
            "inline" => return Ok(CacheDestination::Inline),
            "registry" => {
                StepPlace::Registry(growing(fields.needed("ref", "it does not say where to: add ref=NAME")?)?)
            }
            "local" => {
                let path = fields.needed("dest", "it does not say which directory: add dest=DIR")?;
                StepPlace::Directory(PathBuf::from(path))
            }
            "http" => StepPlace::Server(fields.server()?),
            kind => return Ok(CacheDestination::Unavailable(unavailable(kind)?)),
        };
        let all_steps = match fields.of("mode") {
            None | Some("min") => false,
            Some("max") => true,
            Some(mode) => {
                return Err(
                    Error::usage(format!("there is no cache mode `{mode}`")).with_hint("known modes are min and max")
                );
            }
        };
        let must_succeed = match fields.of("ignore-error") {
            None | Some("true") => false,
            Some("false") => true,
            Some(other) => return Err(Error::usage(format!("ignore-error must be true or false, not `{other}`"))),
        };
        Ok(CacheDestination::Steps(StepDestination { place, all_steps, must_succeed }))
    }
}

impl FromStr for MountPlace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let registry = [("type", "registry"), ("ref", text)];
        let fields = Fields::read(text).unwrap_or_else(|| Fields(registry.to_vec()));
        if fields.kind() != "registry" {
            return Err(Error::usage(format!("there are no cache mounts of type `{}`", fields.kind()))
                .with_hint("the known type is registry, as in type=registry,ref=NAME"));
        }
        let known = ["type", "ref", "key", "max-size", "mode"];
        if let Some((name, _)) = fields.0.iter().find(|(name, _)| !known.contains(name)) {
            return Err(Error::usage(format!("cache mounts have no `{name}`"))
                .with_hint("known fields are ref, key, max-size and mode"));
        }
        let reference = growing(fields.needed("ref", "it does not say where: add ref=NAME")?)?;
        let (pulls, pushes) = match fields.of("mode") {
            None | Some("both") => (true, true),
            Some("pull") => (true, false),
            Some("push") => (false, true),
            Some(mode) => {
                return Err(Error::usage(format!("there is no mode `{mode}` of cache mounts"))
                    .with_hint("known modes are pull, push and both"));
            }
        };
        let lock_files = fields.0.iter().filter(|(name, _)| *name == "key").map(|(_, value)| (*value).to_owned());
        let most = fields.of("max-size").map(str::parse::<Size>).transpose()?;
        Ok(MountPlace {
            reference,
            lock_files: lock_files.collect(),
            most: most.map_or(USUAL_MOUNT, |Size(most)| most),
            pulls,
            pushes,
        })
    }
}

/// The fields of a cache's name, `KEY=VALUE` each.
struct Fields<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Fields<'t> {
    /// None where it is the name of an image.
    fn read(text: &'t str) -> Option<Self> {
        let is_form = text.split(',').any(|field| field.starts_with("type="));
        is_form.then(|| Fields(text.split(',').map(|field| field.split_once('=').unwrap_or((field, ""))).collect()))
    }

    fn of(&self, key: &str) -> Option<&'t str> {
        self.0.iter().rfind(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    fn kind(&self) -> &'t str {
        self.of("type").unwrap_or_default()
    }

    fn needed(&self, key: &str, missing: &str) -> Result<&'t str> {
        self.of(key).filter(|value| !value.is_empty()).ok_or_else(|| Error::usage(missing))
    }

    fn server(&self) -> Result<ServerUrl> {
        self.needed("url", "it does not say which server: add url=URL")?.parse()
    }
}

/// The name of a cache that is written to.
fn growing(name: &str) -> Result<Reference> {
    let reference: Reference = name.parse()?;
    if reference.digest().is_some() {
        return Err(Error::usage(format!("`{reference}` has a digest, but a cache changes"))
            .with_hint("leave out what follows the `@`"));
    }
    checked(reference)
}

/// Fails if entries could not be kept under the tag of `reference`.
fn checked(reference: Reference) -> Result<Reference> {
    match reference.tag() {
        Some(tag) if tag.len() > LONGEST_TAG || !is_valid_tag(tag) => {
            Err(Error::usage(format!("the tag `{tag}` of a cache has more than {LONGEST_TAG} characters")))
        }
        _ => Ok(reference),
    }
}

/// The name of a type that is not available here; an error if there is none of this name.
fn unavailable(kind: &str) -> Result<&'static str> {
    UNAVAILABLE.into_iter().find(|known| *known == kind).ok_or_else(|| {
        Error::usage(format!("there is no cache of type `{kind}`"))
            .with_hint("known types are registry, local, inline, http, gha, s3 and azblob")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(from: &[&str], to: &[&str]) -> CacheFlags {
        let mut flags = CacheFlags::default();
        from.iter().for_each(|text| flags.take_from(text).unwrap());
        to.iter().for_each(|text| flags.put_to(text).unwrap());
        flags
    }

    #[test]
    fn caches_are_read_as_buildx_writes_them() {
        let flags = flags(
            &[
                "team/app:cache",
                "type=registry,ref=team/app:1",
                "type=gha,scope=a",
                "src=dir,type=local",
                "type=http,url=https://cache.example/team",
                "type=inline",
            ],
            &[
                "type=gha,mode=max",
                "type=registry,ref=team/app:1,mode=max,image-manifest=true",
                "team/app",
                "type=local,dest=out,ignore-error=false,mode=min",
            ],
        );
        let images: Vec<(String, bool)> =
            flags.images().into_iter().map(|CacheName { title, may_be_missing }| (title, may_be_missing)).collect();
        let name = "docker.io/team/app:1".to_owned();
        assert_eq!(images, [("team/app:cache".to_owned(), false), (name.clone(), true)]);
        let registry = |name: &str| StepPlace::Registry(name.parse().unwrap());
        let directory = |path: &str| StepPlace::Directory(PathBuf::from(path));
        let server = StepPlace::Server("https://cache.example/team/".parse().unwrap());
        assert_eq!(flags.sources(), [registry(&name), directory("dir"), server]);
        let to = |place, all_steps, must_succeed| StepDestination { place, all_steps, must_succeed };
        assert_eq!(
            flags.destinations(),
            [
                to(registry(&name), true, false),
                to(registry("team/app"), false, false),
                to(directory("out"), false, true)
            ]
        );
        let missing: Vec<String> = flags.missing().into_iter().collect();
        assert_eq!(missing, ["the cache type gha is not available: building without it"]);
    }

    #[test]
    fn what_names_no_cache_is_refused() {
        for (text, message) in [
            ("type=registry", "it does not say which cache"),
            ("type=registry,ref=", "it does not say which cache"),
            ("type=registry,ref=UPPER", "`UPPER` is not an image name"),
            ("type=local,dest=x", "it does not say which directory"),
            ("type=http", "it does not say which server"),
            ("type=http,url=cache.example", "`cache.example` is not the URL of a server"),
            ("type=floppy,src=x", "there is no cache of type `floppy`"),
            ("type=", "there is no cache of type ``"),
        ] {
            let error = text.parse::<CacheSource>().unwrap_err();
            assert!(error.message.starts_with(message), "{text}: {}", error.message);
        }
        let long = format!("team/app:{}", "t".repeat(59));
        let digest = format!("team/app@sha256:{}", "0".repeat(64));
        for (text, message) in [
            ("type=registry", "it does not say where to"),
            ("type=local,src=x", "it does not say which directory"),
            ("type=registry,ref=a,mode=all", "there is no cache mode `all`"),
            ("type=registry,ref=a,ignore-error=yes", "ignore-error must be true or false"),
            (&*long, "the tag `"),
            (&*digest, "`docker.io/team/app@sha256:"),
            ("type=floppy,dest=x", "there is no cache of type `floppy`"),
        ] {
            let error = text.parse::<CacheDestination>().unwrap_err();
            assert!(error.message.starts_with(message), "{text}: {}", error.message);
        }
    }

    #[test]
    fn cache_mounts_have_one_place_and_go_both_ways_unless_that_is_said() {
        let usual = MountPlace {
            reference: "team/mounts".parse().unwrap(),
            lock_files: Vec::new(),
            most: 4 << 30,
            pulls: true,
            pushes: true,
        };
        let read = |text: &str| text.parse::<MountPlace>();
        assert_eq!(read("team/mounts").unwrap(), usual);
        assert_eq!(read("type=registry,ref=team/mounts,mode=both").unwrap(), usual);
        let lock_files = vec!["Cargo.lock".to_owned(), "**/go.sum".to_owned()];
        let all = "type=registry,ref=team/mounts,key=Cargo.lock,key=**/go.sum,max-size=20m,mode=pull";
        assert_eq!(read(all).unwrap(), MountPlace { lock_files, most: 20 << 20, pushes: false, ..usual.clone() });
        assert_eq!(read("type=registry,ref=team/mounts,mode=push").unwrap(), MountPlace { pulls: false, ..usual });
        for (text, message) in [
            ("type=registry", "it does not say where: add ref=NAME"),
            ("type=local,dest=x", "there are no cache mounts of type `local`"),
            ("type=registry,ref=a,keys=b", "cache mounts have no `keys`"),
            ("type=registry,ref=a,mode=max", "there is no mode `max`"),
            ("type=registry,ref=a,max-size=much", "`much` is not a size"),
            ("A", "`A`"),
            (&*format!("a@sha256:{}", "0".repeat(64)), "`docker.io/library/a@sha256:"),
            (&*format!("team/app:{}", "t".repeat(59)), "the tag `"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.message.contains(message), "{text}: {}", error.message);
        }
    }
}
