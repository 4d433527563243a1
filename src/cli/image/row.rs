//! What lists say of an image, in docker's words.

use serde::Serialize;

use crate::cli::age::ago;
use crate::error::Result;
use crate::image::Reader;
use crate::net::date;
use crate::oci::{Digest, Map, Reference};
use crate::plan::label::rfc3339;
use crate::store::{Graph, ImageArrival, LocalStore, NamedImage, children};

/// A line of `ocibake images`. The names of the fields are docker's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageRow {
    #[serde(rename = "ID")]
    pub id: String,
    pub repository: String,
    pub tag: String,
    pub digest: String,
    pub created_since: String,
    pub created_at: String,
    pub size: String,
    pub platforms: String,
    pub containers: &'static str,
    pub shared_size: &'static str,
    pub unique_size: &'static str,
}

impl ImageRow {
    /// Returns the row of an image; `is_whole` is whether IDs are not cut to twelve digits.
    pub fn of(image: &ListedImage, is_whole: bool) -> Self {
        let ListedImage { image, created, size: bytes, platforms, .. } = image;
        ImageRow {
            id: id(&image.root.digest, is_whole),
            repository: repository(&image.name),
            tag: image.name.tag().unwrap_or_default().to_owned(),
            digest: image.root.digest.to_string(),
            created_since: ago(*created),
            created_at: written_by_go(*created).unwrap_or_default(),
            size: size(*bytes),
            platforms: platforms.join(","),
            containers: UNKNOWN,
            shared_size: UNKNOWN,
            unique_size: UNKNOWN,
        }
    }
}

/// A named image, and what its documents say, as far as they are in the store.
pub struct ListedImage {
    pub image: NamedImage,
    /// The time at which it was made, in seconds since 1970: what was pulled says so itself.
    pub created: u64,
    /// The size of all its documents and layers together, in bytes.
    pub size: u64,
    pub platforms: Vec<String>,
    /// The labels of its images.
    pub labels: Vec<Map<String>>,
}

impl ListedImage {
    /// Returns what `store` has to say of an image. Only documents are read; what is not here is not missed.
    pub fn of(store: &LocalStore, image: NamedImage) -> Result<Self> {
        let mut listed =
            ListedImage { created: image.since, size: 0, platforms: Vec::new(), labels: Vec::new(), image };
        let graph = Graph::of(store, &listed.image.root)?;
        let mut told = None;
        for (at, bytes) in graph.images() {
            let content = children(at, bytes)?;
            listed.size = content.iter().map(|blob| blob.size).fold(listed.size + at.size, u64::saturating_add);
            let config = Reader::new(store).image_in(at, bytes).ok().flatten().map(|image| image.config);
            let platform = at.platform.as_ref().or(config.as_ref().map(|config| &config.platform));
            listed.platforms.extend(platform.map(ToString::to_string));
            if let Some(config) = config {
                told = told.or(config.created.as_deref().and_then(seconds));
                listed.labels.extend(config.config.labels);
            }
        }
        if listed.image.arrival == ImageArrival::Pulled {
            listed.created = told.filter(|seconds| *seconds > 0).unwrap_or(listed.created);
        }
        Ok(listed)
    }
}

/// Returns a time as Go's programs write it: `2001-09-09 01:46:40 +0000 UTC`; none for one that no calendar has.
fn written_by_go(seconds: u64) -> Option<String> {
    let time = i64::try_from(seconds).ok().and_then(|seconds| rfc3339(seconds).ok())?;
    Some(format!("{} +0000 UTC", time.trim_end_matches('Z').replace('T', " ")))
}

/// Returns what a time of a config is in seconds since 1970; none if it is no such time.
pub fn seconds(time: &str) -> Option<u64> {
    u64::try_from(date::seconds(time)?).ok()
}

/// What docker shows where it does not know.
const UNKNOWN: &str = "N/A";

/// Returns a digest as lists show it.
pub fn id(digest: &Digest, is_whole: bool) -> String {
    if is_whole { digest.to_string() } else { digest.hex().chars().take(12).collect() }
}

/// Returns a name without its tag, as docker shows it.
pub fn repository(name: &Reference) -> String {
    let familiar = name.familiar();
    familiar.rsplit_once(':').map_or(familiar.clone(), |(repository, _)| repository.to_owned())
}

/// Returns so many bytes as docker shows them: three digits, in powers of 1000.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    // As `%.3g` of C and Go: no zeros behind the point.
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let shown = format!("{value:.decimals$}");
    let shown = if shown.contains('.') { shown.trim_end_matches('0').trim_end_matches('.') } else { &shown };
    format!("{shown}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_as_docker_shows_them() {
        let told = [
            (0, "0B"),
            (525, "525B"),
            (999, "999B"),
            (1000, "1kB"),
            (1024, "1.02kB"),
            (13_256, "13.3kB"),
            (7_826_000, "7.83MB"),
            (117_000_000, "117MB"),
            (1_240_000_000, "1.24GB"),
            (10_000_000, "10MB"),
        ];
        for (bytes, shown) in told {
            assert_eq!(size(bytes), shown);
        }
    }
}
