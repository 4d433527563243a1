//! Reading a Dockerfile never panics, and what it reads points into the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ocibake::plan::dockerfile::{Command, Dockerfile, read_trigger};

fuzz_target!(|bytes: &[u8]| {
    let Ok(dockerfile) = Dockerfile::read("Dockerfile", bytes) else { return };
    let lines = dockerfile.text.content.split('\n').count();
    for warning in &dockerfile.warnings {
        assert!(warning.place.line <= lines);
        let _ = warning.place.to_string();
    }
    for instruction in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
        assert!(dockerfile.text.content.get(instruction.span.clone()).is_some());
        assert_eq!(instruction.excerpt(&instruction.span).line, instruction.line);
        match &instruction.command {
            Command::OnBuild(trigger) => drop(read_trigger("trigger", &trigger.text)),
            Command::Run(run) => {
                for mount in &run.mounts {
                    let _ = mount.mount(&mut |word| Ok(word.text.clone()));
                }
            }
            _ => {}
        }
    }
});
