//! All tests that run the program or real servers, in one binary; a file for each feature.

mod architecture;
mod bad_input;
mod build;
mod credential;
mod help;
mod inspect;
mod label;
mod login;
mod mode;
mod output;
mod peers;
mod progress;
mod push;
mod registry_auth;
mod registry_pull;
mod registry_push;
mod registry_scheme;
mod same_bytes;
mod self_image;
mod spec;
mod support;
mod tag;
mod tags;
mod two_platforms;
