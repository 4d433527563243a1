//! What a server gives for the result of an action never panics, and what is read of it comes back from what is written of that.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ocibake::source::step_cache::action_result::ActionResult;

fuzz_target!(|input: &[u8]| {
    let Ok(result) = ActionResult::read(input) else { return };
    assert!(result.stdout.len() <= input.len());
    assert_eq!(ActionResult::read(&result.write()).unwrap(), result);
});
