//! The flags about caches of other machines.

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::Args;

use super::value::value;
use crate::error::{Error, Result};

/// The flags about what earlier builds have left elsewhere.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct CacheFlags {
    /// Take layers that come out the same from this image; also type=registry,ref=NAME
    ///
    /// It was built by ocibake with the same --compression, on whatever machine, and is named as for `inspect`. Layers that
    /// it has are neither compressed here nor sent to the registry that it is in. One that cannot be had is a warning.
    #[arg(long, value_name = "REF", value_parser = value::<Cache>)]
    cache_from: Vec<Cache>,
    #[arg(long, hide = true, value_parser = value::<Cache>)]
    cache_to: Vec<Cache>,
}

/// A cache as docker names it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cache {
    /// The layers of an image.
    Image(String),
    /// What is in the image itself that is pushed.
    Inline,
    /// A place for caches of this type.
    Place(&'static str),
}

/// The places for caches that BuildKit knows beside registries.
const PLACES: [&str; 4] = ["azblob", "gha", "local", "s3"];

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
    pub fn images(&self) -> Vec<String> {
        let image = |cache: &Cache| match cache {
            Cache::Image(name) => Some(name.clone()),
            Cache::Inline | Cache::Place(_) => None,
        };
        self.cache_from.iter().filter_map(image).collect()
    }

    /// Returns what there is to say of caches that are asked for and are not there, each once: a cache is a help, and nothing
    /// that a build needs.
    pub fn missing(&self) -> BTreeSet<String> {
        let from = self.cache_from.iter().filter_map(|cache| match cache {
            Cache::Place(kind) => Some(format!("the cache type {kind} is not available: building without it")),
            Cache::Image(_) | Cache::Inline => None,
        });
        let to = self.cache_to.iter().map(|cache| match cache {
            Cache::Place(kind) => format!("the cache type {kind} is not available: building without it"),
            Cache::Image(_) => {
                "--cache-to: the cache type registry is not written, but --cache-from takes the layers of a pushed image"
                    .to_owned()
            }
            Cache::Inline => {
                "--cache-to changes nothing here: --cache-from takes the layers of any pushed image".to_owned()
            }
        });
        from.chain(to).collect()
    }
}

impl FromStr for Cache {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_form = text.split(',').any(|field| field.starts_with("type="));
        if !is_form {
            return Ok(Cache::Image(text.to_owned()));
        }
        let fields: Vec<(&str, &str)> =
            text.split(',').map(|field| field.split_once('=').unwrap_or((field, ""))).collect();
        let of = |key: &str| fields.iter().rfind(|(name, _)| *name == key).map(|(_, value)| *value);
        match of("type") {
            Some("inline") => Ok(Cache::Inline),
            Some("registry") => match of("ref").filter(|name| !name.is_empty()) {
                Some(name) => Ok(Cache::Image(name.to_owned())),
                None => Err(Error::usage("it does not say which image: add ref=NAME")),
            },
            kind => match PLACES.into_iter().find(|known| Some(*known) == kind) {
                Some(kind) => Ok(Cache::Place(kind)),
                None => Err(Error::usage(format!("there is no cache of type `{}`", kind.unwrap_or_default()))
                    .with_hint("known are registry, inline, local, gha, s3 and azblob")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(from: &[&str], to: &[&str]) -> CacheFlags {
        let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        CacheFlags { cache_from: read(from), cache_to: read(to) }
    }

    #[test]
    fn caches_are_read_as_buildx_writes_them() {
        let flags = flags(
            &[
                "team/app:cache",
                "type=registry,ref=team/app:1",
                "type=gha,scope=a",
                "src=dir,type=local",
                "type=inline",
            ],
            &["type=gha,mode=max"],
        );
        assert_eq!(flags.images(), ["team/app:cache", "team/app:1"]);
        let missing: Vec<String> = flags.missing().into_iter().collect();
        assert_eq!(
            missing,
            [
                "the cache type gha is not available: building without it",
                "the cache type local is not available: building without it",
            ]
        );
        for (text, message) in [
            ("type=registry", "it does not say which image"),
            ("type=registry,ref=", "it does not say which image"),
            ("type=floppy,dest=x", "there is no cache of type `floppy`"),
            ("type=", "there is no cache of type ``"),
        ] {
            let error = text.parse::<Cache>().unwrap_err();
            assert!(error.message.starts_with(message), "{text}: {}", error.message);
        }
    }
}
