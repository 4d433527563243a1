//! How the images of a file take from each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Excerpt, Result, suggestion};

/// What a context that is another image of the file begins with.
const IMAGE_PREFIX: &str = "target:";

/// An image, and those that it takes from.
pub struct LinkedImage<'a> {
    pub name: &'a str,
    pub place: &'a Excerpt,
    pub links: Vec<&'a str>,
}

/// Returns the image that a context stands for; none if it is somewhere else.
pub fn linked(place: &str) -> Option<&str> {
    place.strip_prefix(IMAGE_PREFIX)
}

/// Refuses images that take from one that is not there, or from one that takes from them.
pub fn check(images: &[LinkedImage<'_>]) -> Result<()> {
    let by_name: BTreeMap<&str, &LinkedImage<'_>> = images.iter().map(|image| (image.name, image)).collect();
    for image in images {
        if let Some(link) = image.links.iter().find(|link| !by_name.contains_key(**link)) {
            let error = Error::input(format!("the image `{}` takes from `{link}`, which is none here", image.name));
            let hint = match suggestion(link, by_name.keys().copied()) {
                Some(near) => format!("did you mean `{IMAGE_PREFIX}{near}`?"),
                None => format!("known are {}", by_name.keys().copied().collect::<Vec<_>>().join(", ")),
            };
            return Err(error.with_excerpt(image.place.clone()).with_hint(hint));
        }
    }
    let mut done = BTreeSet::new();
    images.iter().try_for_each(|image| follow(image, &by_name, &mut Vec::new(), &mut done))
}

/// Goes on from `image`, which the images on `path` take from, to those that are not `done`.
fn follow<'a>(
    image: &LinkedImage<'a>,
    by_name: &BTreeMap<&str, &LinkedImage<'a>>,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Result<()> {
    if let Some(start) = path.iter().position(|name| *name == image.name) {
        let ring: Vec<&str> = path[start..].iter().copied().chain([image.name]).collect();
        let error = Error::input(format!("the images take from each other: {}", ring.join(" → ")));
        return Err(error.with_excerpt(image.place.clone()));
    }
    if done.contains(image.name) {
        return Ok(());
    }
    path.push(image.name);
    for link in image.links.iter().filter_map(|link| by_name.get(link)) {
        follow(link, by_name, path, done)?;
    }
    path.pop();
    done.insert(image.name);
    Ok(())
}
