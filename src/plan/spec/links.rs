//! How the images of a file take from each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Excerpt, Result, suggestion};
use crate::oci::Map;

/// What a base or a context that is another image of the file begins with.
const IMAGE_PREFIX: &str = "target:";

/// An image, and those that it takes from with the places that say so.
pub struct LinkedImage<'a> {
    pub name: &'a str,
    pub links: &'a Map<Excerpt>,
}

/// Returns the image that a base or a context stands for; none if it is somewhere else.
pub fn linked(place: &str) -> Option<&str> {
    place.strip_prefix(IMAGE_PREFIX)
}

/// Refuses images that take from one that is not there, or from one that takes from them.
pub fn check(images: &[LinkedImage<'_>]) -> Result<()> {
    let by_name: BTreeMap<&str, &LinkedImage<'_>> = images.iter().map(|image| (image.name, image)).collect();
    for image in images {
        if let Some((link, place)) = image.links.iter().find(|(link, _)| !by_name.contains_key(link.as_str())) {
            let error =
                Error::input(format!("the image `{}` takes from `{link}`, which is not one of them", image.name));
            let hint = match suggestion(link, by_name.keys().copied()) {
                Some(near) => format!("did you mean `{IMAGE_PREFIX}{near}`?"),
                None => format!("known images are {}", by_name.keys().copied().collect::<Vec<_>>().join(", ")),
            };
            return Err(error.with_excerpt(place.clone()).with_hint(hint));
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
        let place = ring.get(1).and_then(|next| image.links.get(*next));
        return Err(error.or_excerpt(place));
    }
    if done.contains(image.name) {
        return Ok(());
    }
    path.push(image.name);
    for link in image.links.keys().filter_map(|link| by_name.get(link.as_str())) {
        follow(link, by_name, path, done)?;
    }
    path.pop();
    done.insert(image.name);
    Ok(())
}
