//! What a person sees and types.

mod bad_input;
mod completion;
mod doctor;
mod foreign_text;
mod friction;
mod help;
mod inspect;
mod login;
mod ls;
mod progress;
mod quantity;
mod screen;
mod timings;
mod timings_page;
mod warning;
