//! The functions that are always there.

/// Returns whether there is a function of this name without any file defining it.
pub fn is_function(name: &str) -> bool {
    let _ = name;
    false
}

/// Returns whether the function of this name gives the same on every day and machine.
pub fn is_reproducible(name: &str) -> bool {
    !matches!(name, "bcrypt" | "timestamp" | "uuidv4" | "homedir")
}
