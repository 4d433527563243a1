//! `ocibake resolve`: Kubernetes manifests, kustomizations and Helm values with digests instead of tags.

mod digests;
mod files;

use clap::Args;

use self::digests::{DigestFlags, Digests, ResolvedImage};
use self::files::{FileFlags, ReadFile};
use super::environment::Environment;
use super::print::tell;
use super::progress::{ProgressFlags, Reporter};
use crate::error::{Error, Result};
use crate::plan::mention::MentionText;
use crate::progress::{Event, Progress, WarningKind};

/// Write Kubernetes manifests, kustomizations and Helm values with digests instead of tags
///
/// An image is known if a metadata file or a list of references lists it, or if it was built or pushed here under its name;
/// then its registry is asked. Others stay as they are, unless --all asks their registries, too. What is written differs only
/// in the names of images: `image: NAME` in any document, `images` of a kustomization, and in Helm values `image` with
/// `repository` and `tag` or `digest`. Templates are left alone.
#[derive(Debug, Args)]
pub struct ResolveArguments {
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    digests: DigestFlags,
    /// Fail if an image is left without a digest
    #[arg(long)]
    strict: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

/// Writes the files with digests, all of them or none.
pub fn run(arguments: &ResolveArguments, environment: &Environment) -> Result<()> {
    arguments.files.check()?;
    let reporter = Reporter::new(&arguments.progress);
    let progress: Progress<'_> = &|event| reporter.report(event);
    let files = arguments.files.read()?;
    let client = environment.client(arguments.insecure, 0);
    let mut digests = Digests::new(&arguments.digests, environment, &client, progress)?;
    let mut left = Vec::new();
    for ReadFile { text, .. } in &files {
        if let Some(line) = text.template() {
            let message = format!("{}:{line}: a template is left as it is", text.file());
            progress(Event::Warning { kind: WarningKind::TemplateLeftAlone, message: &message });
        }
        look_up(text, &mut digests, &mut left)?;
    }
    if arguments.strict && !left.is_empty() {
        return Err(unresolved(left));
    }
    for LeftImage { place, told, .. } in left.iter().filter(|left| left.was_asked) {
        let message = format!("{place}: {told}");
        progress(Event::Warning { kind: WarningKind::ImageNotResolved, message: &message });
    }
    let texts: Vec<String> = files.iter().map(|file| file.text.resolved(|mention| digests.found(mention))).collect();
    reporter.finish();
    if arguments.progress.is_for_people() {
        tell_result(&digests, left.len());
    }
    arguments.files.write(&files, &texts)
}

/// An image that stays without a digest.
struct LeftImage {
    place: String,
    told: String,
    /// It was known, or asked for.
    was_asked: bool,
}

/// Finds the digests of the images that `text` names, and adds those that have none to `left`.
fn look_up(text: &MentionText, digests: &mut Digests<'_>, left: &mut Vec<LeftImage>) -> Result<()> {
    for mention in text.mentions() {
        let outcome = match mention.has_place() {
            true => digests.look_up(mention).map_err(|error| error.or_excerpt(Some(&text.excerpt(mention))))?,
            false => ResolvedImage::Left { told: "there is no tag or digest to set".to_owned(), was_asked: false },
        };
        if let ResolvedImage::Left { told, was_asked } = outcome {
            let place = format!("{}:{}", text.file(), mention.line);
            left.push(LeftImage { place, told: format!("{}: {told}", mention.title()), was_asked });
        }
    }
    Ok(())
}

/// The most images that an error lists.
const MOST_LISTED: usize = 50;

fn unresolved(left: Vec<LeftImage>) -> Error {
    let count = left.len();
    let mut lines: Vec<String> = left.into_iter().map(|left| format!("{}: {}", left.place, left.told)).collect();
    if count > MOST_LISTED {
        lines.truncate(MOST_LISTED);
        lines.push(format!("and {} more", count - MOST_LISTED));
    }
    let images = if count == 1 { "1 image is" } else { &format!("{count} images are") };
    Error::not_found(format!("{images} left without a digest")).with_details(lines).with_hint(
        "name the file that lists them with --metadata-file or --image-refs, or ask their registries with --all",
    )
}

/// Says which names have digests now.
fn tell_result(digests: &Digests<'_>, left: usize) {
    for (title, digest) in digests.all() {
        tell(&format!("{title} is {digest}"));
    }
    match (digests.all().count(), left) {
        (0, 0) => tell("no image is named without a digest"),
        (0, _) => tell(
            "no image is known: name the file that lists them with --metadata-file or --image-refs, or ask their \
                registries with --all",
        ),
        (_, 0) => {}
        (_, 1) => tell("1 other image stays as it is"),
        (_, left) => tell(&format!("{left} other images stay as they are")),
    }
}
