//! The file of a plan, and whether this checkout is the one that it was made of.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::cli::bake::{agree, files};
use crate::cli::environment::Environment;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::plan::Checkout;
use crate::plan::bake::{BakeFile, ResolvedBake};
use crate::plan::shared::{SHARED_PLAN_LIMIT, SharedCheckout, SharedPlan};
use crate::source::git;

/// Reads the plan in `path`. Fails for one that another version of the program has made.
pub fn read(path: &Path) -> Result<SharedPlan> {
    let name = path.display().to_string();
    let failed = |source| Error::io("read", path, source);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(SHARED_PLAN_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > SHARED_PLAN_LIMIT {
        return Err(Error::input(format!("{name} is larger than {SHARED_PLAN_LIMIT} bytes, too large for a plan")));
    }
    let plan = SharedPlan::parse(&name, &bytes)?;
    if plan.program != program() {
        let message = format!("{name} was made by ocibake {}, but this is {}", plan.program, program());
        return Err(Error::input(message).with_hint("use the same version on all machines"));
    }
    Ok(plan)
}

/// Returns the targets of `plan`, which is allowed what `allow` says, here.
pub fn resolved(plan: &SharedPlan, allow: &[String]) -> Result<ResolvedBake> {
    let mut tables = Vec::new();
    for name in plan.files.keys() {
        let file = BakeFile { name: name.clone(), text: String::new(), is_local: true };
        if file.is_table() {
            let text = files::read_named(Path::new(name))?;
            let text = text.ok_or_else(|| Error::not_found(format!("there is no file {name}")))?;
            tables.push(BakeFile { text, ..file });
        }
    }
    plan.resolved(agree::allowances(allow, &tables)?, &tables)
}

/// Returns the version of this program.
pub fn program() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Returns what is known of the commit of the working directory.
pub fn checkout(environment: &Environment) -> Option<SharedCheckout> {
    let here = Path::new(".");
    // Where git will not answer, the variables of a CI may.
    let found = environment.ci.complete(git::checkout(here).ok().flatten(), here);
    found.map(|Checkout { revision, source, dirty, .. }| SharedCheckout { revision, source, dirty })
}

/// Fails where the working directory has another commit, or other definitions, than the plan was made of.
pub fn check_here(plan: &SharedPlan, environment: &Environment) -> Result<()> {
    let own = checkout(environment);
    let said = |checkout: &Option<SharedCheckout>| match checkout {
        Some(SharedCheckout { revision, dirty: false, .. }) => format!("the commit {revision}"),
        Some(SharedCheckout { revision, dirty: true, .. }) => format!("the commit {revision} with changes"),
        None => "no known commit".to_owned(),
    };
    let key = |checkout: &Option<SharedCheckout>| checkout.as_ref().map(|own| (own.revision.clone(), own.dirty));
    if key(&own) != key(&plan.checkout) {
        let message = format!("the plan is for {}, but this is {}", said(&plan.checkout), said(&own));
        return Err(Error::input(message).with_hint("check out the commit of the plan, or make a new plan"));
    }
    for (name, digest) in &plan.files {
        let differs = |what: String| {
            Error::input(format!("{name} is not the file that the plan was made of: {what}"))
                .with_hint("check out what the plan was made of, or make a new plan")
        };
        let text = files::read_named(Path::new(name))?.ok_or_else(|| differs("there is none".to_owned()))?;
        let own = Digest::of(text.as_bytes());
        if own != *digest {
            return Err(differs(format!("it is {own}, and was {digest}")));
        }
    }
    Ok(())
}
