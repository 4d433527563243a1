//! `RUN`.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::fs::{CWD, Gid, OFlags, Uid, XattrFlags, fchmod, fchown, fsetxattr};
use rustix::io::Errno;

use super::agent::{ForwardedAgent, SocketAttributes};
use super::last_lines::LastLines;
use super::provided::Provided;
use super::shell::{self, FailureShell};
use super::{Below, Doing, Given, Leaves, MarkGiven, Settled, StepChange, Takes};
use super::{emulation, host_ca};
use crate::build::cache::{By, Mark, Sum, difference};
use crate::build::inputs::Inputs;
use crate::build::logs::CommandLog;
use crate::error::{Error, Result};
use crate::kernel::{self, open_by_path};
use crate::layer::{self, Kept};
use crate::oci::{Digest, KeyBuilder};
use crate::plan::{CacheSharing, Provider, ResourceLimit, Run, RunMount, RunMountKind, RunNetwork, RunSecurity, Stage};
use crate::progress::{CommandEnd, Event, OutputStream};
use crate::run::{Exit, Limit, Mount, MountSource, Network, Process, Ran, Resource, Root, Security, Stream, User};
use crate::source::modified::Modified;
use crate::source::mount_cache::NamedMount;
use crate::store::CacheMount;
use crate::store::pending::PendingDirectory;
use crate::sync::locked;
use crate::tree::owner::find_user;
use crate::tree::{Attributes, Files, Time, not_there};

/// The time that tools which ask for one are given: files of layers have no other.
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

impl Doing for Run {
    fn takes(&self) -> Takes {
        Takes { below: Below::Seen, stages: self.stages().collect(), on_disk: true }
    }

    fn kind(&self) -> &'static str {
        "run"
    }

    fn mark(&self, key: KeyBuilder, given: MarkGiven<'_>, inputs: &Inputs<'_>) -> Result<(KeyBuilder, Settled)> {
        let sums: Vec<Sum> = self
            .sources(given.from)
            .map(|(provider, source, mark)| match provider {
                Provider::Context(number) => context_sum(*number, source, given.by, inputs),
                Provider::Stage(_) => {
                    let Mark { key, is_settled, .. } = mark.copied().unwrap_or_default();
                    let digest = KeyBuilder::new("stage").part("mark", &key.map(|key| key.digest())).finish();
                    Ok(Sum { digest, is_settled, has_links: false })
                }
                Provider::Image(image) => Ok(Sum { digest: image.manifest, is_settled: true, has_links: false }),
            })
            .collect::<Result<_>>()?;
        let digests: Vec<Digest> = sums.iter().map(|sum| sum.digest).collect();
        let modified = inputs.options.modified;
        let key = given.run.parts(self.parts(key)).part("sources", &digests).part("modified", &modified);
        Ok((key, sums.iter().all(|sum| sum.is_settled)))
    }

    fn content(&self, key: KeyBuilder, given: &Given<'_>, inputs: &Inputs<'_>) -> Result<Option<KeyBuilder>> {
        let mut sums = Vec::new();
        for (provider, source, from) in self.sources(&given.from) {
            let mounted = mounted(&Provided::of(provider, from, inputs)?, source)?.0;
            sums.push(content_sum(provider, source, &mounted, inputs)?);
        }
        let modified = inputs.options.modified;
        Ok(Some(given.run.parts(self.parts(key)).part("sources", &sums).part("modified", &modified)))
    }

    fn change(&self, given: Given<'_>, inputs: &Inputs<'_>) -> Result<StepChange> {
        // Where nothing can be run, nothing needs to be unpacked for it, and has the owners that it would need.
        inputs.sandbox()?;
        let near = (given.near)()?;
        let below = inputs.roots.root(&given.below, &near, &inputs.bases)?;
        let place = inputs.options.store.directory()?;
        let (directory, _) = (place.create("upper")?, place.create("work")?);
        let upper = place.path().join("upper");
        let sandbox = inputs.sandbox()?;
        let mut copy = match sandbox.is_stacking() {
            true => None,
            false => Some(inputs.copies.take(&below.lowers, sandbox.devices(), inputs.options.store)?),
        };
        let root = match &copy {
            Some(copy) => copy.root(),
            None => {
                dress(&directory, given.below.root().attributes())
                    .map_err(|errno| Error::io("change", &upper, errno.into()))?;
                Root { lowers: below.lowers.clone(), upper: upper.clone(), work: place.path().join("work") }
            }
        };
        let running = Running { run: self, given: &given, inputs, place: &place };
        let (mut ran, printed) = running.run(&root)?;
        if let Some(copy) = &mut copy {
            copy.settle(&std::mem::take(&mut ran.provided), &upper)?;
        }
        let (mut entries, removed) = layer::upper(&upper, &given.below, &ran.provided, &below.lowers)?;
        if let Modified::At(time) = inputs.options.modified {
            entries.iter_mut().for_each(|entry| entry.attributes.modified = Time::of_seconds(time));
        }
        for entry in &entries {
            inputs.budget.entry(entry.path.len() as u64)?;
        }
        let mut files = given.below;
        removed.iter().for_each(|path| files.remove(path));
        files.put_all(&entries);
        let changed = (&entries[..], &removed[..]);
        let root = inputs.roots.changed(place, &upper, &below, files.clone(), changed);
        if let Some(copy) = copy {
            inputs.copies.give(copy);
        }
        Ok(StepChange {
            entries: Arc::new(entries),
            removed,
            leaves: Leaves::Files(files),
            root: Some(root),
            printed,
            ..StepChange::nothing()
        })
    }
}

/// Gives an upper directory the attributes of the root below it, which overlayfs hides behind it.
fn dress(upper: &OwnedFd, attributes: &Attributes) -> Result<(), Errno> {
    let (user, group) = (attributes.user, attributes.group);
    if !layer::has_one_id() {
        fchown(upper, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
    } else if let Some((name, value)) = (Kept { user, group, device: None }).attribute(true) {
        fsetxattr(upper, name, &value, XattrFlags::empty())?;
    }
    fchmod(upper, kernel::mode(attributes.mode))
}

/// Returns the sum of what a mount of `source` may be in a context: links in it lead anywhere.
fn context_sum(context: usize, source: &str, by: By, inputs: &Inputs<'_>) -> Result<Sum> {
    let context = inputs.contexts.get(context)?;
    let sum = inputs.sum(&context, context.files.real(source.as_bytes()).unwrap_or_default(), by)?;
    if sum.has_links { inputs.sum(&context, Vec::new(), by) } else { Ok(sum) }
}

/// Returns the sum of what is mounted: `files`, which are `source` of `provider`.
fn content_sum(provider: &Provider, source: &str, files: &Files, inputs: &Inputs<'_>) -> Result<Digest> {
    match provider {
        Provider::Image(image) => {
            Ok(KeyBuilder::new("image").part("manifest", &image.manifest).part("source", source).finish())
        }
        Provider::Context(_) | Provider::Stage(_) => difference(&Files::new(), files, &inputs.bases),
    }
}

/// A command that is to be run, or is running.
struct Running<'a> {
    run: &'a Run,
    given: &'a Given<'a>,
    inputs: &'a Inputs<'a>,
    /// For what it mounts and nobody else does.
    place: &'a PendingDirectory,
}

/// What is there as long as the command runs.
#[derive(Default)]
struct Held {
    caches: Vec<CacheMount>,
    agents: Vec<ForwardedAgent>,
}

impl Running<'_> {
    /// Runs it to its end, and returns the last lines that it has written, too. Fails unless it is a good end.
    fn run(&self, root: &Root) -> Result<(Ran, Vec<String>)> {
        let (sandbox, progress) = (self.inputs.sandbox()?, self.inputs.options.progress);
        let mut held = Held::default();
        let mut process = self.process(&mut held)?;
        let command = self.inputs.next_command();
        progress(Event::CommandStarted { command, step: self.given.step });
        let log = self.log()?.map(Mutex::new);
        let last = Mutex::new(LastLines::default());
        let output = |stream: Stream, bytes: &[u8]| {
            locked(&last).add(bytes);
            log.iter().for_each(|log| locked(log).add(bytes));
            let stream = match stream {
                Stream::Output => OutputStream::Output,
                Stream::Error => OutputStream::Error,
            };
            progress(Event::CommandOutput { command, stream, bytes });
        };
        let started = Instant::now();
        let running = self.inputs.command_runs();
        let ran = sandbox.run(&process, root, &output, &self.inputs.stop);
        drop(running);
        let end = ran.as_ref().ok().map(|ran| match ran.exit {
            Exit::Status(status) => CommandEnd::Status(status),
            Exit::Signal(signal) => CommandEnd::Signal(signal),
        });
        progress(Event::CommandFinished { command, elapsed: started.elapsed(), end });
        let ran = ran.map_err(|error| emulation::explained(error, self.given.step.platform, self.given.run))?;
        let failed = |end| {
            let error = self.failed(end, locked(&last).take());
            match &log {
                Some(log) => error.with_hint(format!("its whole output is in {}", locked(log).path().display())),
                None => error,
            }
        };
        let error = match ran.exit {
            Exit::Status(0) => {
                log.iter().try_for_each(|log| locked(log).finish())?;
                return Ok((ran, locked(&last).take()));
            }
            Exit::Status(status) => failed(format!("exit code {status}")),
            Exit::Signal(signal) => failed(format!("signal {signal}")),
        };
        let Some(open) = self.inputs.options.shell else { return Err(error) };
        shell::change(&mut process);
        let work = self.place.create("shell").map(|_| self.place.path().join("shell"))?;
        let root = Root { lowers: root.lowers.clone(), upper: root.upper.clone(), work };
        let shell = FailureShell { sandbox, process, root };
        Err(shell.open(error.or_excerpt(self.given.place), self.inputs, open))
    }

    fn failed(&self, end: String, last: Vec<String>) -> Error {
        let command = self.run.arguments.join(" ");
        let error = Error::input(format!("the command `{command}` ended with {end}"));
        error.with_details(last)
    }

    /// The file that its output is to go to.
    fn log(&self) -> Result<Option<CommandLog>> {
        let step = self.given.step;
        let is_namesake = |stage: &&Stage| stage.title == step.stage && stage.target.as_deref() == step.target;
        let mut namesakes = self.inputs.plan.stages.iter().filter(is_namesake);
        let for_several = namesakes.any(|stage| stage.platform != *step.platform);
        self.inputs.options.logs.map(|logs| logs.begin(step, for_several)).transpose()
    }

    fn process(&self, held: &mut Held) -> Result<Process> {
        let Running { run, given, inputs, .. } = self;
        let settings = given.run;
        let user = find_user(&run.user, &given.below, &mut |files, path| inputs.bases.read(files, path))?;
        let mut environment: Vec<(String, Vec<u8>)> = Vec::new();
        let mut set = |name: &str, value: &[u8]| match environment.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value.to_vec(),
            None => environment.push((name.to_owned(), value.to_vec())),
        };
        set("HOME", &user.home);
        set(SOURCE_DATE_EPOCH, inputs.options.modified.of_made().to_string().as_bytes());
        if settings.host_ca.is_some() {
            host_ca::VARIABLES.iter().for_each(|(name, path)| set(name, path.as_bytes()));
        }
        run.environment.iter().for_each(|(name, value)| set(name, value.as_bytes()));
        settings.proxies.iter().for_each(|(name, value)| set(name, value.as_bytes()));
        for variable in &run.secret_variables {
            if let Some(secret) = self.secret(&variable.id, variable.required)? {
                set(&variable.name, &secret);
            }
        }
        let mut mounts: Vec<Mount> = run
            .files
            .iter()
            .map(|file| Mount {
                target: file.path.as_bytes().to_vec(),
                source: MountSource::File {
                    content: file.content.as_bytes().to_vec(),
                    mode: file.mode,
                    user: 0,
                    group: 0,
                },
                read_only: true,
            })
            .collect();
        mounts.extend(settings.host_ca.iter().flat_map(|bundle| host_ca::mounts(bundle)));
        let mut stages = given.from.iter();
        let from = run.mounts.iter().map(|mount| match mount.kind.provider() {
            Some((Provider::Stage(_), _)) => stages.next(),
            _ => None,
        });
        let from: Vec<Option<&Files>> = from.collect();
        // All commands take caches in one order, so that none waits for another who waits for it.
        let mut order: Vec<usize> = (0..run.mounts.len()).collect();
        order.sort_by_key(|number| cache_id(&run.mounts[*number]));
        let mut made: Vec<Option<Mount>> = run.mounts.iter().map(|_| None).collect();
        for (place, number) in order.iter().enumerate() {
            let before = place.checked_sub(1).map(|before| &run.mounts[order[before]]);
            self.check_once(&run.mounts[*number], before)?;
            made[*number] = self.mount(*number, &run.mounts[*number], from[*number], held)?;
        }
        mounts.extend(made.into_iter().flatten());
        let network = match (run.network, settings.network) {
            (RunNetwork::None, _) | (RunNetwork::Default, RunNetwork::None) => Network::None,
            _ => Network::Host,
        };
        let variable = |(name, value): (String, Vec<u8>)| [name.as_bytes(), b"=", &value].concat();
        Ok(Process {
            arguments: run.arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect(),
            environment: environment.into_iter().map(variable).collect(),
            directory: run.directory.as_bytes().to_vec(),
            user: User { id: user.user, group: user.group, groups: user.groups },
            network,
            security: match run.security {
                RunSecurity::Sandbox => Security::Sandbox,
                RunSecurity::Insecure => Security::Insecure,
            },
            hosts: settings.hosts.iter().map(|(name, address)| (name.clone(), address.to_string())).collect(),
            shm_size: settings.shm_size,
            limits: settings.limits.iter().map(limit).collect::<Result<_>>()?,
            mounts,
            emulator: emulation::given(given.step.platform, settings)?,
        })
    }

    /// Returns how the cache of `mount` is shared.
    fn sharing(&self, sharing: CacheSharing) -> Result<CacheSharing> {
        Ok(match sharing {
            CacheSharing::Shared if !self.inputs.sandbox()?.is_sharing() => CacheSharing::Locked,
            sharing => sharing,
        })
    }

    /// Fails if `mount` is of the cache of the one `before` it, which would be waited for without end.
    fn check_once(&self, mount: &RunMount, before: Option<&RunMount>) -> Result<()> {
        let RunMountKind::Cache { id, sharing, .. } = &mount.kind else { return Ok(()) };
        if before.and_then(cache_id) != Some(id.as_str()) || self.sharing(*sharing)? != CacheSharing::Locked {
            return Ok(());
        }
        Err(Error::input(format!("the command mounts the cache `{id}` twice, but only one mount can use it at a time"))
            .with_hint("give one of the mounts another `id`"))
    }

    /// The secret `id`; none if it was not given and is not `required`.
    fn secret(&self, id: &str, required: bool) -> Result<Option<Vec<u8>>> {
        match self.given.run.secrets.get(id) {
            Some(source) => (self.inputs.options.secret)(source).map(Some),
            None if required => Err(Error::input(format!("the secret `{id}` was not given"))
                .with_hint(format!("give it, as in `--secret id={id},src=FILE`"))),
            None => Ok(None),
        }
    }

    /// What is mounted for `mount`, the number of which is `number`; none for what was not given and need not be.
    fn mount(&self, number: usize, mount: &RunMount, from: Option<&Files>, held: &mut Held) -> Result<Option<Mount>> {
        let source = match &mount.kind {
            RunMountKind::Bind { from: provider, source } => {
                self.bind(number, &Provided::of(provider, from, self.inputs)?, source, mount.read_only)?
            }
            RunMountKind::Cache { id, sharing, from: provider, source, mode, user, group } => {
                let attributes = Attributes { mode: *mode, user: *user, group: *group, ..Attributes::implied() };
                let mut files = Files::new();
                let mut sum = None;
                if let Some(provider) = provider {
                    let provided = Provided::of(provider, from, self.inputs)?;
                    files = provided.files.below(&provided.files.real(source.as_bytes())?);
                    sum = Some(content_sum(provider, source, &files, self.inputs)?);
                }
                // A directory that is named has attributes of its own.
                if source.is_empty() {
                    *files.place(b"").attributes_mut() = attributes;
                }
                // As with docker, a cache that begins with something else is another one.
                let Attributes { mode, user, group, .. } = files.root().attributes();
                let key = KeyBuilder::new("cache mount 2").part("id", id).part("begins", &sum);
                let key = key.part("mode", mode).part("user", user).part("group", group).finish();
                let sharing = self.sharing(*sharing)?;
                self.travel(id, &key, sharing)?;
                let cache = self.inputs.options.store.cache_mount(
                    &key,
                    sharing,
                    &|| !self.inputs.stop.is_ended(),
                    |directory, shown| self.inputs.bases.unpack(&files, (directory, shown)),
                )?;
                let source = open(cache.path())?;
                held.caches.push(cache);
                MountSource::Bind(source)
            }
            RunMountKind::Tmpfs { size } => MountSource::Tmpfs { size: *size },
            RunMountKind::Secret { id, required, mode, user, group } => {
                let Some(content) = self.secret(id, *required)? else { return Ok(None) };
                MountSource::File { content, mode: *mode, user: *user, group: *group }
            }
            RunMountKind::Ssh { id, required, mode, user, group } => {
                let Some(agent) = self.given.run.agents.get(id) else {
                    return match required {
                        false => Ok(None),
                        true => Err(Error::input(format!("the SSH agent `{id}` was not given"))
                            .with_hint(format!("give it, as in `--ssh {id}`"))),
                    };
                };
                let directory = self.place.create(&format!("mount{number}"))?;
                let attributes = SocketAttributes { mode: *mode, user: *user, group: *group };
                let (agent, socket) = ForwardedAgent::begin(agent, &directory, attributes)?;
                held.agents.push(agent);
                MountSource::Bind(socket)
            }
        };
        Ok(Some(Mount { target: mount.target.as_bytes().to_vec(), source, read_only: mount.read_only }))
    }

    /// Has what is kept under `of` brought from elsewhere if nothing is there. One that each command has for itself stays here.
    fn travel(&self, id: &str, of: &Digest, sharing: CacheSharing) -> Result<()> {
        let Some(mounts) = self.inputs.options.mounts.filter(|_| sharing != CacheSharing::Private) else {
            return Ok(());
        };
        let key = self.given.run.lock_key.unwrap_or_else(|| Digest::of(b""));
        let mount = NamedMount { of: *of, id: id.to_owned(), key };
        mounts.prepare(&mount, self.inputs.options.store, self.inputs.pool, &self.inputs.stop)
    }

    /// The file or directory `source` of `provided`. What is written to it never gets there.
    fn bind(&self, number: usize, provided: &Provided, source: &str, read_only: bool) -> Result<MountSource> {
        let (files, is_directory) = mounted(provided, source)?;
        if is_directory {
            let directory = open(&self.inputs.roots.directory(&files, &self.inputs.bases)?)?;
            return Ok(if read_only { MountSource::Bind(directory) } else { MountSource::Discarding(directory) });
        }
        // A file may be written to: it is this command's alone.
        let name = format!("mount{number}");
        let directory = self.place.create(&name)?;
        let path = self.place.path().join(name);
        self.inputs.bases.unpack(&files, (directory.as_fd(), &path))?;
        Ok(MountSource::Bind(open(&path.join(OsStr::from_bytes(FILE)))?))
    }
}

fn cache_id(mount: &RunMount) -> Option<&str> {
    match &mount.kind {
        RunMountKind::Cache { id, .. } => Some(id),
        _ => None,
    }
}

fn limit(limit: &ResourceLimit) -> Result<Limit> {
    let ResourceLimit { resource: name, soft, hard } = limit;
    let resource = match *name {
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return Err(Error::input(format!("there is no limit of `{name}`"))),
    };
    Ok(Limit { resource, soft: *soft, hard: *hard })
}

/// What `source` of `provided` is: all of a directory, or a file alone; and whether it is a directory.
fn mounted(provided: &Provided, source: &str) -> Result<(Files, bool)> {
    let Provided { files, title, missing } = provided;
    let real = files.real(source.as_bytes())?;
    let node = files.get(&real).ok_or_else(|| missing.at(&real).unwrap_or_else(|| not_there(source, title)))?;
    if node.is_directory() {
        return Ok((files.below(&real), true));
    }
    let mut alone = Files::new();
    alone.put(FILE, node.clone());
    Ok((alone, false))
}

/// The name that a file has in a directory of its own.
const FILE: &[u8] = b"file";

fn open(path: &Path) -> Result<OwnedFd> {
    let opened = open_by_path(CWD, path, OFlags::NOFOLLOW);
    opened.map_err(|errno| Error::io("open", path, errno.into()))
}
