//! What a person sees and types.

mod bad_input;
mod completion;
mod doctor;
mod foreign_text;
mod friction;
mod help;
mod init;
mod inspect;
mod login;
mod ls;
mod messages;
mod progress;
mod quantity;
mod screen;
mod timings;
mod timings_page;
mod warning;
