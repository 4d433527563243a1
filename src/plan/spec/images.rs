//! Reads the tables `[image.NAME]` of an `ocibake.toml` that has several images.

use std::str::FromStr;
use std::sync::Arc;

use toml::de::DeTable;

use super::groups::{self, ImageGroup, is_name};
use super::image_table::{DockerfileTable, ImageTable, ImageTables, TableRecipe};
use super::links::{self, LinkedImage};
use super::read::{about, config, layers, name, pairs, platforms};
use super::{Spec, SpecBase};
use crate::error::{Error, ErrorKind, Excerpt, Result};
use crate::oci::{Map, Platform, Reference};
use crate::plan::inherit::laid_over;
use crate::plan::quantity::Size;
use crate::plan::table::{TomlDocument, TomlTable, TomlValue};
use crate::plan::{
    ContextPlace, Entitlement, HostEntry, LinkedTarget, NamedAgent, NamedSecret, ResourceLimit, RunNetwork,
    context_name,
};

/// The keys that all images may have; those at the beginning name one image.
const OWN_KEYS: &[&str] = &["name", "tags"];
const COMMON_KEYS: &[&str] = &[
    "context",
    "platforms",
    "index",
    "labels",
    "annotations",
    "title",
    "description",
    "vendor",
    "url",
    "source",
    "licenses",
    "version",
    "documentation",
    "authors",
];

/// The keys of an image that is made of layers.
const LAYER_KEYS: &[&str] = &["layer", "base", "config", "libc"];

/// The keys of an image that has a Dockerfile.
const DOCKERFILE_KEYS: &[&str] = &[
    "dockerfile",
    "dockerfile-inline",
    "target",
    "args",
    "contexts",
    "secret",
    "ssh",
    "cache-from",
    "network",
    "no-cache",
    "no-cache-filter",
    "pull",
    "shm-size",
    "ulimits",
    "extra-hosts",
    "entitlements",
];

/// The most images of one file.
const MOST_IMAGES: usize = 1000;

/// The most bytes that what stands at the top comes to in all images.
const MOST_SHARED: usize = 64 << 20;

/// The name that all images have together where no group says otherwise.
const ALL: &str = "default";

impl ImageTables {
    /// Reads the images of an `ocibake.toml`; `file` is its name in errors. None if it has no tables `image`, so that it is a
    /// [`Spec`]. What stands at the top is for all images: a key of an image goes before it; labels, annotations, arguments,
    /// contexts, hosts and settings come together, and layers stand on those of the top. The group `default` is there in any
    /// case: it has all images unless it says otherwise.
    pub fn parse(file: &str, text: &str) -> Result<Option<ImageTables>> {
        let document = TomlDocument { file, text };
        let entries = DeTable::parse(text).map_err(|cause| document.malformed(&cause))?;
        let top = document.root(entries.get_ref());
        let Some(tables) = top.take("image") else { return Ok(None) };
        let known = || [COMMON_KEYS, LAYER_KEYS, DOCKERFILE_KEYS].into_iter().flatten();
        known().for_each(|key| top.know(key));
        if let Some(key) = OWN_KEYS.iter().find_map(|key| top.take(key)) {
            let error = Error::input(format!("`{}` at the top would name all images alike", key.key));
            return Err(key.blame_key(error.with_hint("write it below `[image.NAME]`")));
        }
        let groups = top.take("group");
        top.finish()?;
        let entries = tables.table()?.entries();
        if entries.len() > MOST_IMAGES {
            return Err(tables.blame_key(Error::input(format!("{file} has more than {MOST_IMAGES} images"))));
        }
        if top.weight(tables.key).saturating_mul(entries.len()) > MOST_SHARED {
            let error = Error::input(format!("{file} says too much at its top for {} images", entries.len()));
            return Err(tables.blame_key(error.with_hint("say it below those that need it")));
        }
        let mut images = Vec::new();
        for entry in entries {
            let own = entry.table()?;
            known().chain(OWN_KEYS).for_each(|key| own.know(key));
            own.finish()?;
            images.push(Layered { own: &own, top: &top }.image(&entry)?);
        }
        if images.is_empty() {
            return Err(
                tables.blame_key(Error::input("`image` has no images").with_hint("write one as `[image.NAME]`"))
            );
        }
        let linked = images.iter().map(|image| LinkedImage { name: &image.name, links: &image.links });
        links::check(&linked.collect::<Vec<_>>())?;
        let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
        let mut groups = groups.map(|groups| groups::read(&groups, &names)).transpose()?.unwrap_or_default();
        if !groups.iter().any(|group| group.name == ALL) {
            let members = names.iter().map(|name| (*name).to_owned()).collect();
            groups.push(ImageGroup { name: ALL.to_owned(), members });
        }
        Ok(Some(ImageTables { images, groups }))
    }
}

/// A table, and what stands at the top.
struct Layered<'t, 'a> {
    own: &'t TomlTable<'a>,
    top: &'t TomlTable<'a>,
}

impl<'a> Layered<'_, 'a> {
    fn image(&self, entry: &TomlValue<'a>) -> Result<ImageTable> {
        if !is_name(entry.key) {
            let error = Error::input(format!("`{}` cannot be the name of an image here", entry.key));
            return Err(
                entry.blame_key(error.with_hint("it has letters, digits, `_` and `-`; other names go into `tags`"))
            );
        }
        if entry.key == ALL {
            let hint = "use another name; `[group]` says with `default = [\"NAME\"]` which are built without a name";
            return Err(entry.blame_key(Error::input(format!("`{ALL}` stands for all images")).with_hint(hint)));
        }
        let (of_layers, of_dockerfile) = (first(self.own, LAYER_KEYS), first(self.own, DOCKERFILE_KEYS));
        let has_layers = match (of_layers, of_dockerfile) {
            (Some(layer), Some(dockerfile)) => {
                let message =
                    format!("`{}` makes an image of layers, and `{}` one of a Dockerfile", layer.key, dockerfile.key);
                return Err(layer.blame_key(Error::input(message).with_hint("an image is made of only one of the two")));
            }
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => first(self.top, LAYER_KEYS).is_some() && first(self.top, DOCKERFILE_KEYS).is_none(),
        };
        if let Some(index) = self.take("index")
            && !index.boolean()?
            && self.platforms()?.len() > 1
        {
            let error = Error::input(format!("`{}` is for several platforms, and needs an index", entry.key));
            return Err(index.blame(error.with_hint("leave out `index = false`")));
        }
        Ok(ImageTable {
            name: entry.key.to_owned(),
            place: entry.key_place(),
            tags: self.tags()?,
            context: self.text("context")?,
            links: self.links(has_layers)?,
            recipe: match has_layers {
                true => TableRecipe::Layers(Box::new(self.spec()?)),
                false => TableRecipe::Dockerfile(Box::new(self.dockerfile()?)),
            },
        })
    }

    /// The other images that it takes from: the one that its layers stand on, or those that contexts of its Dockerfile are.
    fn links(&self, has_layers: bool) -> Result<Map<Excerpt>> {
        let mut places = Vec::new();
        if has_layers {
            places.extend(self.take("base"));
        } else {
            for contexts in [self.top, self.own].into_iter().filter_map(|table| table.take("contexts")) {
                places.extend(contexts.table()?.entries());
            }
        }
        let mut links = Map::new();
        for place in places {
            links.extend(links::linked(place.string()?).map(|name| (name.to_owned(), place.place())));
        }
        Ok(links)
    }

    fn tags(&self) -> Result<Vec<String>> {
        let name = self.own.take("name").map(|value| value.parse(name)).transpose()?;
        let tag = |value: TomlValue| {
            value.parse(|text| match text.parse::<Reference>()?.digest() {
                None => Ok(text.to_owned()),
                Some(_) => Err(Error::input(format!("`{text}` has a digest, which no image has before it is built"))),
            })
        };
        let tags = self.own.take("tags").map(|value| value.list()).transpose()?.unwrap_or_default();
        let mut tags = tags.into_iter().map(tag).collect::<Result<Vec<_>>>()?;
        tags.extend(name.filter(|_| tags.is_empty()).map(|name| name.name()));
        Ok(tags)
    }

    fn spec(&self) -> Result<Spec> {
        let below = self.top.take("config").map(config).transpose()?.unwrap_or_default();
        let own = self.own.take("config").map(config).transpose()?.unwrap_or_default();
        let mut all = Vec::new();
        for table in [self.top, self.own] {
            all.extend(table.take("layer").map(layers).transpose()?.unwrap_or_default());
        }
        Ok(Spec {
            name: self.own.take("name").map(|value| value.parse(name)).transpose()?,
            base: self.take("base").map(|value| value.parse(base)).transpose()?.unwrap_or_default(),
            platforms: self.platforms()?,
            index: self.boolean("index")?,
            libc: self.take("libc").map(|value| value.parse(str::parse)).transpose()?.unwrap_or_default(),
            about: about(&|key| self.take(key))?,
            layers: all,
            config: laid_over(below, &own),
            labels: self.pairs("labels")?,
            annotations: self.pairs("annotations")?,
            ..Spec::default()
        })
    }

    fn dockerfile(&self) -> Result<DockerfileTable> {
        let table = DockerfileTable {
            dockerfile: self.text("dockerfile")?,
            dockerfile_inline: self.text("dockerfile-inline")?,
            target: self.text("target")?,
            args: self.texts_by_name("args", |_, _| Ok(()))?,
            contexts: self.texts_by_name("contexts", check_context)?,
            platforms: self.platforms()?,
            index: self.boolean("index")?,
            about: about(&|key| self.take(key))?,
            labels: self.pairs("labels")?,
            annotations: self.pairs("annotations")?,
            secrets: self.texts::<NamedSecret>("secret")?,
            ssh: self.texts::<NamedAgent>("ssh")?,
            cache_from: self.lines("cache-from", |_| Ok(()))?,
            network: self.checked::<RunNetwork>("network")?,
            no_cache: self.boolean("no-cache")?,
            no_cache_filter: self.lines("no-cache-filter", |_| Ok(()))?,
            pull: self.boolean("pull")?,
            shm_size: self.checked::<Size>("shm-size")?,
            ulimits: self.texts::<ResourceLimit>("ulimits")?,
            extra_hosts: self.texts_by_name("extra-hosts", |name, address| {
                format!("{name}={address}").parse::<HostEntry>().map(drop)
            })?,
            entitlements: self.texts::<Entitlement>("entitlements")?,
        };
        match (self.own.take("dockerfile"), self.own.take("dockerfile-inline")) {
            (Some(_), Some(inline)) => Err(inline.blame_key(Error::input("there is a `dockerfile`, too"))),
            // The nearer of both counts.
            (Some(_), None) => Ok(DockerfileTable { dockerfile_inline: None, ..table }),
            (None, Some(_)) => Ok(DockerfileTable { dockerfile: None, ..table }),
            (None, None) => Ok(table),
        }
    }

    /// Returns what the image says, or what is said for all.
    fn take(&self, key: &'static str) -> Option<TomlValue<'a>> {
        self.own.take(key).or_else(|| self.top.take(key))
    }

    fn text(&self, key: &'static str) -> Result<Option<String>> {
        self.take(key).map(|value| value.text()).transpose()
    }

    fn boolean(&self, key: &'static str) -> Result<Option<bool>> {
        self.take(key).map(|value| value.boolean()).transpose()
    }

    fn platforms(&self) -> Result<Vec<Platform>> {
        Ok(self.take("platforms").map(platforms).transpose()?.unwrap_or_default())
    }

    /// Returns the text of `key`, which is one of a `T`.
    fn checked<T: FromStr<Err = Error>>(&self, key: &'static str) -> Result<Option<String>> {
        let checked = |value: TomlValue| value.parse(|text| is::<T>(text).map(|()| text.to_owned()));
        self.take(key).map(checked).transpose()
    }

    /// Returns the texts of a list, each of which is one of a `T`.
    fn texts<T: FromStr<Err = Error>>(&self, key: &'static str) -> Result<Vec<String>> {
        self.lines(key, is::<T>)
    }

    fn lines(&self, key: &'static str, check: impl Fn(&str) -> Result<()>) -> Result<Vec<String>> {
        let list = self.take(key).map(|value| value.list()).transpose()?.unwrap_or_default();
        list.into_iter()
            .map(|value| value.text().and_then(|text| value.parse(|_| check(&text)).map(|()| text)))
            .collect()
    }

    fn pairs(&self, key: &'static str) -> Result<Map<String>> {
        let mut all = Map::new();
        for table in [self.top, self.own] {
            all.extend(table.take(key).map(pairs).transpose()?.unwrap_or_default());
        }
        Ok(all)
    }

    fn texts_by_name(&self, key: &'static str, check: impl Fn(&str, &str) -> Result<()>) -> Result<Map<String>> {
        let mut all = Map::new();
        for table in [self.top, self.own] {
            let Some(value) = table.take(key) else { continue };
            for entry in value.table()?.entries() {
                entry.parse(|text| check(entry.key, text))?;
                all.insert(entry.key.to_owned(), entry.string()?.to_owned());
            }
        }
        Ok(all)
    }
}

fn first<'a>(table: &TomlTable<'a>, keys: &[&'static str]) -> Option<TomlValue<'a>> {
    keys.iter().find_map(|key| table.take(key))
}

/// Refuses a text that is not a `T`; what is wrong with it is wrong in the file.
fn is<T: FromStr<Err = Error>>(text: &str) -> Result<()> {
    text.parse::<T>().map(drop).map_err(|error| Error { kind: ErrorKind::Input, ..error })
}

/// Returns what an image of layers stands on, which may be another image of the file.
fn base(text: &str) -> Result<SpecBase> {
    match links::linked(text) {
        Some(name) => Ok(SpecBase::Target(Arc::new(LinkedTarget::unknown(name)))),
        None => super::base(text),
    }
}

fn check_context(name: &str, place: &str) -> Result<()> {
    if context_name(name).is_none() {
        return Err(Error::input(format!("`{name}` cannot be the name of a context")));
    }
    match links::linked(place) {
        Some(_) => Ok(()),
        None => is::<ContextPlace>(place),
    }
}
