//! What lists say of an image, in docker's words.

use std::time::UNIX_EPOCH;

use serde::Serialize;

use crate::cli::age::ago;
use crate::error::Result;
use crate::inspect::{Report, report};
use crate::net::date;
use crate::oci::{Digest, Reference};
use crate::plan::label::rfc3339;
use crate::store::{ImageArrival, LocalStore, NamedImage};

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
    /// Returns the row of a name; `is_whole` is whether IDs are not cut to twelve digits.
    pub fn of(store: &LocalStore, image: &NamedImage, is_whole: bool) -> Result<Self> {
        let report = report(store, &image.root)?;
        let created = created(image, &report);
        let familiar = image.name.familiar();
        let repository = familiar.rsplit_once(':').map_or(familiar.as_str(), |(repository, _)| repository);
        Ok(ImageRow {
            id: id(&image.root.digest, is_whole),
            repository: repository.to_owned(),
            tag: image.name.tag().unwrap_or_default().to_owned(),
            digest: image.root.digest.to_string(),
            created_since: ago(created),
            created_at: i64::try_from(created).ok().and_then(|created| rfc3339(created).ok()).unwrap_or_default(),
            size: size(report.images.iter().map(|image| image.total_size).fold(0, u64::saturating_add)),
            platforms: report.images.iter().map(|image| image.platform.as_str()).collect::<Vec<_>>().join(","),
            containers: UNKNOWN,
            shared_size: UNKNOWN,
            unique_size: UNKNOWN,
        })
    }
}

/// What docker shows where it does not know.
const UNKNOWN: &str = "N/A";

/// Returns the time at which an image was made, in seconds since 1970: what came from elsewhere says so itself.
pub fn created(image: &NamedImage, report: &Report) -> u64 {
    let told = report.images.first().and_then(|image| image.created.as_deref()).and_then(date::rfc3339);
    let told = told.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
    match image.arrival {
        ImageArrival::Pulled => told.filter(|seconds| *seconds > 0).unwrap_or(image.since),
        ImageArrival::Made | ImageArrival::Pushed => image.since,
    }
}

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
