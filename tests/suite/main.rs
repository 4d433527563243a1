//! All tests that run the program or real servers, in one binary; a file for each feature.

mod architecture;
mod bad_input;
mod credential;
mod extremes;
mod image_graph;
mod interrupt;
mod label;
mod large;
mod layer;
mod layer_change;
mod layer_header;
mod mode;
mod peers;
mod pending;
mod registry_auth;
mod registry_pull;
mod registry_push;
mod registry_scheme;
mod same_bytes;
mod self_image;
mod source;
mod spec;
mod support;
mod tag;
mod two_platforms;
mod walk;
