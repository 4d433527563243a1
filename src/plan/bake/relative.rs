//! Paths that are relative to the file that they stand in (`BUILDX_BAKE_FILE_RELATIVE_PATHS`).

use super::bake_file::BakeFile;
use super::definition::{BakeDefinition, TargetPlaces, WrittenPlace};
use crate::plan::compose::is_local;
use crate::tree::clean;

/// Makes the paths of contexts relative to the working directory: those of compose files are relative to the first of `services`.
pub(super) fn resolve(definition: &mut BakeDefinition, services: &[&BakeFile]) {
    let first = services.iter().find(|file| file.is_local).map_or("", |file| directory(&file.name));
    let places = std::mem::take(&mut definition.places);
    let usual = TargetPlaces::default();
    for target in &mut definition.targets {
        let own = places.get(&target.name).unwrap_or(&usual);
        let base = |key: &str| match own.keys.get(key).or(own.target.as_ref()) {
            Some(WrittenPlace::Hcl(place)) => directory(place.file()),
            // They are relative to their file in any case.
            Some(WrittenPlace::Toml(_)) => "",
            _ => first,
        };
        match &mut target.context {
            Some(context) => join(base("context"), context),
            // What is inherited goes before where the target itself is.
            None if target.inherits.as_ref().is_none_or(Vec::is_empty) => {
                let mut context = ".".to_owned();
                join(own.target.as_ref().map_or(first, |_| base("")), &mut context);
                target.context = Some(context);
            }
            None => {}
        }
        target
            .contexts
            .values_mut()
            .filter(|context| !context.is_empty())
            .for_each(|context| join(base("contexts"), context));
    }
    definition.places = places;
}

/// Returns the directory of a file; empty for one that lies in the working directory, and for standard input.
pub(super) fn directory(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(directory, _)| if directory.is_empty() { "/" } else { directory })
}

/// Makes the path of a context that is relative to `directory` one that is relative to the working directory.
pub(super) fn join(directory: &str, context: &mut String) {
    let is_elsewhere = context.starts_with("target:") || context.contains("://") || !is_local(context);
    if !directory.is_empty() && !is_elsewhere && !context.starts_with('/') {
        *context = clean(&format!("{directory}/{context}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_on_from_the_directory_of_its_file() {
        for (file, context, expected) in [
            ("build/docker-bake.hcl", "../app", "app"),
            ("build/docker-bake.hcl", ".", "build"),
            ("docker-bake.hcl", "app", "app"),
            ("/srv/docker-bake.hcl", "app", "/srv/app"),
            ("/docker-bake.hcl", "app", "/app"),
            ("build/docker-bake.hcl", "/app", "/app"),
            ("build/docker-bake.hcl", "cwd://app", "cwd://app"),
            ("build/docker-bake.hcl", "target:app", "target:app"),
            ("build/docker-bake.hcl", "https://example.com/a.git", "https://example.com/a.git"),
        ] {
            let mut text = context.to_owned();
            join(directory(file), &mut text);
            assert_eq!(text, expected, "{file} {context}");
        }
    }
}
