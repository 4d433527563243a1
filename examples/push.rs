//! Pushes an image, wherever it lies, under one name. Credentials are docker's.
//!
//! `cargo run --example push -- SOURCE NAME`, where SOURCE is `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE` or a name

use std::error::Error;

use ocibake::oci::Reference;
use ocibake::output::{Means, Output, OutputImage};
use ocibake::progress::Event;
use ocibake::registry::{Credentials, OnDemand, RegistryOptions};
use ocibake::release;
use ocibake::source::image::Location;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(source), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("usage: push SOURCE NAME".into());
    };
    let source: Location = source.parse()?;
    let name: Reference = name.parse()?;

    let docker = std::env::home_dir().map(|home| home.join(".docker"));
    let credentials = Credentials::from_docker_config(docker);
    let client = OnDemand::new(RegistryOptions { credentials, ..RegistryOptions::default() });
    let progress = |event: Event<'_>| match event {
        Event::BlobFinished { digest, .. } => println!("blob {digest}"),
        Event::ManifestPushed { name, digest, .. } => println!("{name} is {digest}"),
        _ => {}
    };

    // All content is there before the name stands for it.
    let (store, root) = source.open(&client, &progress)?;
    let image = OutputImage { store: store.as_ref(), root: &root, names: &[name] };
    release::write(&[Output::Registry], image, &Means { client: &client, jobs: 0, progress: &progress })?;
    Ok(())
}
