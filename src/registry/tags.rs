//! The tags of a repository (distribution-spec, "Listing Tags").

use std::collections::{BTreeSet, HashSet};

use serde::Deserialize;

use super::answer::join;
use super::repository::Repository;
use crate::error::{Error, ErrorKind, Result};
use crate::net::header::LINK;
use crate::net::{Failure, Method, Request, Response, StatusCode, Url, label};
use crate::oci::{Keyed, from_json, is_valid_tag};

/// The number of tags that is asked for at once. Registries give as many as they like, up to this.
const TAGS_OF_A_PAGE: &str = "n=1000";
/// In bytes.
const PAGE_LIMIT: u64 = 4 << 20;
const MOST_PAGES: usize = 10_000;
/// In bytes, of all tags of a repository, and of where their pages are.
const TAGS_LIMIT: usize = 16 << 20;

#[derive(Deserialize)]
struct TagPage {
    /// Some registries write `null` where there are none.
    tags: Option<Vec<String>>,
}

impl Keyed for TagPage {}

impl Repository<'_> {
    /// Returns all tags of this repository, in the order of their bytes, each once. A repository that does not exist has none.
    /// A registry that does not let its tags be listed is [`ErrorKind::Denied`] if it wants other credentials, else
    /// [`ErrorKind::Registry`].
    pub fn tags(&self) -> Result<Vec<String>> {
        let mut url = self.attempt(|| self.url(&self.access, "tags/list"))?;
        url.set_query(Some(TAGS_OF_A_PAGE));
        let (mut tags, mut bytes, mut seen) = (BTreeSet::new(), 0, HashSet::new());
        loop {
            let place = label(&Method::GET, &url);
            let (page, next) = self.attempt(|| self.page_of_tags(url.clone()))?;
            for tag in page.into_iter().filter(|tag| is_valid_tag(tag)) {
                bytes += tag.len();
                tags.insert(tag);
            }
            bytes += url.as_str().len();
            let refuse = |why: String| Err(Error::new(ErrorKind::Registry, format!("{place}: {why}")));
            if bytes > TAGS_LIMIT {
                return refuse(format!("the tags are more than {TAGS_LIMIT} bytes"));
            }
            seen.insert(url);
            match next {
                None => return Ok(tags.into_iter().collect()),
                Some(next) if seen.contains(&next) => return refuse("the pages form a circle".to_owned()),
                Some(_) if seen.len() == MOST_PAGES => {
                    return refuse(format!("there are more than {MOST_PAGES} pages"));
                }
                Some(next) => url = next,
            }
        }
    }

    /// The tags of one page, and where the next one is.
    fn page_of_tags(&self, url: Url) -> Result<(Vec<String>, Option<Url>), Failure> {
        let request = Request { expected: &[StatusCode::NOT_FOUND], ..Request::new(Method::GET, url) };
        let mut answer = self.client.connection.exchange(&self.access, &request)?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok((Vec::new(), None));
        }
        let next = next_page(&request.url, &answer)?;
        let place = answer.label();
        let body = answer.read(PAGE_LIMIT)?;
        let page: TagPage = from_json(&format!("the list of tags of {place}"), &body)?;
        Ok((page.tags.unwrap_or_default(), next))
    }
}

/// Returns where the page is that follows the one at `url`, by the `Link` in its answer (RFC 8288).
pub(super) fn next_page(url: &Url, answer: &Response) -> Result<Option<Url>> {
    let mut values = answer.headers().get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let Some(target) = values.find_map(next_of) else { return Ok(None) };
    // Behind a proxy a registry may know its own scheme and name wrongly: what counts is the path.
    let there = join(answer.url(), &target)?;
    let mut next = url.clone();
    next.set_path(there.path());
    next.set_query(there.query());
    Ok(Some(next))
}

fn next_of(header: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let (target, behind) = rest.split_once('<')?.1.split_once('>')?;
        let parameters = behind.split_once('<').map_or(behind, |(parameters, _)| parameters);
        let is_next = |parameter: &str| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                let value = value.trim_matches([' ', ',', '"']);
                name.trim().eq_ignore_ascii_case("rel") && value.eq_ignore_ascii_case("next")
            })
        };
        if parameters.split(';').any(is_next) {
            return Some(target.to_owned());
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_to_the_next_page_is_found() {
        let next = |header| next_of(header);
        assert_eq!(next("</v2/a/tags/list?last=b&n=2>; rel=\"next\"").as_deref(), Some("/v2/a/tags/list?last=b&n=2"));
        assert_eq!(next("<?page=2>;REL=next").as_deref(), Some("?page=2"));
        assert_eq!(next("<a>; rel=\"first\", <b>; title=\"x\"; rel=\"next\"").as_deref(), Some("b"));
        for header in ["", "<a>; rel=\"prev\"", "<a", "a>; rel=next", "<a>; rel=\"last\", <b>"] {
            assert_eq!(next(header), None, "{header}");
        }
    }
}
