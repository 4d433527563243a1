//! No bake file, in whatever language, panics or takes more than its budgets allow.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ocibake::oci::Map;
use ocibake::plan::bake::{Allowances, BakeDefinition, BakeFile, BakeReader, BakeRequest, BuiltIn};
use ocibake::plan::hcl::Surroundings;

fuzz_target!(|text: &str| {
    for name in ["docker-bake.hcl", "docker-bake.json", "compose.yaml"] {
        let file = BakeFile { name: name.to_owned(), text: text.to_owned(), is_local: true };
        let reader = BakeReader {
            given: &Map::new(),
            variable: &|_| None,
            built_in: &BuiltIn::new(),
            surroundings: Surroundings { now: 0, home: "/", random: &|bytes| bytes.fill(0) },
            compose_variables: &Map::new(),
            read: &|_: &Path| Ok(None),
            warn: &|_| (),
            has_healthchecks: true,
            has_relative_paths: true,
        };
        let Ok(definition) = BakeDefinition::read(&[file], &reader) else { continue };
        let request = BakeRequest {
            targets: &["*".to_owned()],
            overrides: &["*.push=true".to_owned()],
            allowances: Allowances::default(),
            variable: &|_| None,
        };
        if let Ok(mut resolved) = definition.resolve(request) {
            let _ = resolved.settle(None, None);
        }
    }
});
