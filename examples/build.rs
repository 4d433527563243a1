//! Builds an image of one file for two platforms, without a registry, a Dockerfile or a daemon, and writes it to an OCI layout.
//!
//! `cargo run --example build -- FILE LAYOUT`

use std::error::Error;
use std::path::PathBuf;

use ocibake::build::{self, Options};
use ocibake::output::{Means, Output, OutputImage};
use ocibake::plan::{Automatic, Spec};
use ocibake::progress::Event;
use ocibake::registry::{OnDemand, RegistryOptions};
use ocibake::release;
use ocibake::store::LocalStore;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(layout)) = (arguments.next(), arguments.next()) else {
        return Err("usage: build FILE LAYOUT".into());
    };
    let file = PathBuf::from(file).canonicalize()?;
    let (Some(context), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Err("the file has no name".into());
    };

    // What an `ocibake.toml` says, as one would write it. Of a name with quotes or braces it would have to be escaped.
    let text = format!(
        "platforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [[layer]]\n\
         add = [{{ from = \"{name}\", to = \"/bin/program\", mode = \"0755\" }}]\n\
         [config]\n\
         entrypoint = [\"/bin/program\"]\n"
    );
    let spec = Spec::parse("ocibake.toml", &text)?;
    let mut no_base = |_: &str, _: &_| Err(ocibake::error::Error::input("the image stands on scratch"));
    let plan = spec.plan("the example", &Automatic::default(), &mut no_base)?;

    // Whatever happens is told as it happens, from many threads.
    let progress = |event: Event<'_>| {
        if let Event::LayerFinished { descriptor, .. } = event {
            println!("layer {} of {} bytes", descriptor.digest, descriptor.size);
        }
    };
    let place = tempfile::tempdir()?;
    let store = LocalStore::open(place.path().join("store"))?;
    let client = OnDemand::new(RegistryOptions::default());
    let contexts = [context.to_owned()];
    let options = Options { contexts: &contexts, progress: &progress, ..Options::new(&store, &client) };
    let built = build::build(&plan, &options)?;
    let target = built.first().ok_or("the plan has no target")?;

    let image = OutputImage { store: &store, root: &target.root, names: &[] };
    release::write(&[Output::Layout(layout.into())], image, &Means { client: &client, jobs: 0, progress: &progress })?;
    println!("image {}", target.root.digest);
    Ok(())
}
