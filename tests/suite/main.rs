//! All tests that run the program or real servers, in one binary; a file for each feature.

mod credential;
mod registry_auth;
mod registry_pull;
mod registry_push;
mod registry_scheme;
mod support;
