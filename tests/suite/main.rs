//! All tests that run the program or real servers, in one binary; a file for each feature.

mod architecture;
mod bad_input;
mod build;
mod credential;
mod label;
mod mode;
mod output;
mod peers;
mod registry_auth;
mod registry_pull;
mod registry_push;
mod registry_scheme;
mod same_bytes;
mod self_image;
mod spec;
mod support;
mod tag;
mod two_platforms;
