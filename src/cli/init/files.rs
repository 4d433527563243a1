//! Files that are served as they are.

use super::draft::{Draft, RecipeForm};
use super::look::LookedAt;
use crate::error::{Error, Result};

/// What serves them.
pub const SERVER: &str = "nginx:stable-alpine";

/// What is looked for in a directory of files.
pub const INDEX: &str = "index.html";

/// Where files are that are to be served, the likeliest first.
pub const PLACES: [&str; 8] = ["dist", "build", "public", "_site", "site", "www", "html", "."];

/// Returns the first of [`PLACES`] that has an index.
pub fn place(directory: &LookedAt) -> Option<&'static str> {
    PLACES.into_iter().find(|place| directory.has(&format!("{place}/{INDEX}")))
}

/// Returns a recipe for the files. Fails if there is no index.
pub fn draft(directory: &LookedAt, form: Option<RecipeForm>) -> Result<Draft> {
    let place = place(directory)
        .ok_or_else(|| Error::not_found(format!("there is no {INDEX} here, nor in {}", PLACES[..7].join(", "))))?;
    let form = form.unwrap_or(RecipeForm::Spec);
    let seen = match place {
        "." => format!("{INDEX}: files that are served"),
        _ => format!("{place}/{INDEX}: files that are served, below {place}"),
    };
    Ok(Draft {
        title: "files that are served".to_owned(),
        name: directory.name(),
        form,
        seen: vec![seen],
        body: match form {
            RecipeForm::Spec => spec(place),
            RecipeForm::Dockerfile => format!("FROM {SERVER}\nCOPY {place} /usr/share/nginx/html/\nEXPOSE 80\n"),
        },
        ignored: &["ocibake.toml"],
        before: Vec::new(),
        left_open: None,
    })
}

fn spec(place: &str) -> String {
    let exclude = match place {
        "." => ", exclude = [\".git\", \".env*\", \"ocibake.toml\"]",
        _ => "",
    };
    format!(
        "# For another platform than this machine's, or several, say so here:\n\
         # platforms = [\"linux/amd64\", \"linux/arm64\"]\n\n\
         base = \"{SERVER}\"\n\n\
         [[layer]]\n\
         add = [{{ from = \"{place}\", to = \"/usr/share/nginx/html/\", mode = \"u=rwX,go=rX\"{exclude} }}]\n\n\
         [config]\n\
         ports = [80]\n"
    )
}
