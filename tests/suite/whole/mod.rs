//! The whole program under kills, faults, floods and size.

mod faults;
mod interrupt;
mod kills;
mod large;
mod soak;
