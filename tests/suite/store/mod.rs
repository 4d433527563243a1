//! Where content is kept, and how documents and archives are read.

mod archive;
mod cache;
mod cache_mount;
mod damage;
mod diff_id;
mod document;
mod image_graph;
mod image_reading;
mod local_store;
mod pending;
mod privacy;
mod prune;
mod unpacked;
