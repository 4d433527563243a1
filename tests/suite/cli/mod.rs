//! What a person sees and types.

mod bad_input;
mod doctor;
mod foreign_text;
mod help;
mod inspect;
mod login;
mod progress;
mod quantity;
mod screen;
mod warning;
