//! The submodules of what was fetched, one in another. Their addresses are somebody else's words.

use std::fs;
use std::path::{Path, PathBuf};

use super::address::Address;
use super::program::{Git, SPOKEN, complaint, failed};
use crate::error::{Error, Result};
use crate::plan::GitUrl;

/// The depth up to which they may lie in one another, and their number.
const DEPTH: usize = 32;
const COUNT: usize = 4096;

const ACTION: &str = "fetch the submodules of";

/// Fetches the submodules of the checkout of `git`, which is of `url`, and theirs: over networks only. Whether there was
/// anything to fetch.
pub(super) fn fetch(git: &Git<'_>, url: &GitUrl) -> Result<bool> {
    let mut left = vec![(git.git_dir.to_owned(), git.work_tree.to_owned(), 0)];
    let mut count = 0;
    while let Some((git_dir, work_tree, depth)) = left.pop() {
        let git = Git { git_dir: &git_dir, work_tree: &work_tree, credentials: git.credentials, stop: git.stop };
        let found = fetch_direct(&git, url)?;
        count += found.len();
        if !found.is_empty() && (depth == DEPTH || count > COUNT) {
            let message = format!(
                "cannot {ACTION} {url}: there are more than {COUNT}, or they are nested more than \
                {DEPTH} deep"
            );
            return Err(Error::input(message).with_hint("leave them out with ?submodules=false"));
        }
        left.extend(found.into_iter().map(|place| (place.join(".git"), place, depth + 1)));
    }
    Ok(count > 0)
}

/// Fetches those of one checkout, and returns where they are.
fn fetch_direct(git: &Git<'_>, url: &GitUrl) -> Result<Vec<PathBuf>> {
    let listed = git.work_tree.join(".gitmodules");
    match fs::symlink_metadata(&listed) {
        Ok(status) if status.is_file() => {}
        Ok(status) if status.is_symlink() => return Err(failed(ACTION, url, "its .gitmodules is a link")),
        _ => return Ok(Vec::new()),
    }
    let tracked = git.answer(&["ls-files", "--stage", "-z"], ACTION, url)?;
    let paths =
        tracked.split('\0').filter(|entry| entry.starts_with("160000 ")).filter_map(|entry| entry.split_once('\t'));
    let places: Vec<PathBuf> = paths.map(|(_, path)| place(git.work_tree, path, url)).collect::<Result<_>>()?;
    if places.is_empty() {
        return Ok(places);
    }
    git.answer(&["submodule", "--quiet", "init"], ACTION, url)?;
    clean_addresses(git, url)?;
    let update = ["submodule", "--quiet", "update"];
    let output = git.run(&[&update[..], &["--depth=1"]].concat())?;
    if !output.status.success() {
        let complaint = complaint(&output, url);
        // Servers of plain files have no shallow clones.
        if !complaint.contains("shallow") {
            return Err(failed(ACTION, url, &complaint));
        }
        git.answer(&update, ACTION, url)?;
    }
    Ok(places.into_iter().filter(|place| place.join(".git").exists()).collect())
}

/// Returns where a submodule belongs, with nothing on the way that leads elsewhere.
fn place(work_tree: &Path, path: &str, url: &GitUrl) -> Result<PathBuf> {
    let mut place = work_tree.to_owned();
    for part in path.split('/') {
        place.push(part);
        let is_odd = matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git");
        if is_odd || fs::symlink_metadata(&place).is_ok_and(|status| !status.is_dir()) {
            let complaint = format!("the submodule at `{}` would be outside of its place", path.escape_debug());
            return Err(failed(ACTION, url, &complaint));
        }
    }
    Ok(place)
}

/// Takes users and passwords out of the addresses that git has noted, and refuses those that are no network's.
fn clean_addresses(git: &Git<'_>, url: &GitUrl) -> Result<()> {
    let noted = ["config", "--local", "--null", "--get-regexp", r"^submodule\..*\.url$"];
    // With nothing to tell it fails, and says nothing.
    let noted = git.run(&noted)?;
    let noted = String::from_utf8_lossy(&noted.stdout).into_owned();
    for (setting, remote) in noted.split('\0').filter_map(|setting| setting.split_once('\n')) {
        let address = Address::of(remote);
        if !address.is_remote() {
            let name = setting.trim_start_matches("submodule.").trim_end_matches(".url");
            let complaint = format!("`{}` does not have a network address", name.escape_debug());
            return Err(failed(ACTION, url, &complaint).with_hint(SPOKEN));
        }
        if address.url != remote {
            address.credential.iter().try_for_each(|line| git.credentials.add(line))?;
            git.answer(&["config", "--local", "--replace-all", setting, &address.url], ACTION, url)?;
        }
    }
    Ok(())
}
