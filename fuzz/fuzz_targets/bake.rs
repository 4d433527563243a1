//! Reading a bake file never panics, every part points into it, and what its attributes give comes to an end.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use ocibake::plan::hcl::{BakeText, EvaluationBudget, HclBody, Scope, Surroundings, read_hcl, read_json, value_json};

fuzz_target!(|text: &str| {
    let text = Arc::new(BakeText { file: "docker-bake".to_owned(), text: text.to_owned() });
    for body in [read_hcl(&text), read_json(&text, &[])] {
        match body {
            Ok(body) => visit(&body, &EvaluationBudget::default()),
            Err(error) => assert!(error.excerpt.is_some()),
        }
    }
});

fn visit(body: &HclBody, budget: &EvaluationBudget) {
    let surroundings = Surroundings { now: 0, home: "/", random: &|_| () };
    for attribute in &body.attributes {
        let _ = attribute.place.excerpt();
        for path in attribute.value.variables() {
            let _ = path.place.excerpt();
        }
        let _ = (attribute.value.functions(), attribute.value.type_constraint());
        match attribute.value.evaluate(&Scope::default(), &surroundings, budget) {
            Ok(value) => drop(value_json(&value)),
            Err(error) => assert!(error.excerpt.is_some()),
        }
    }
    for block in &body.blocks {
        visit(&block.body, budget);
    }
}
