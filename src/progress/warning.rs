//! The kinds of warnings.

/// What a warning is about, for a program to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningKind<'a> {
    /// A build check finds fault with a Dockerfile. Its message ends with the place.
    BuildCheck {
        /// Docker's name of the check, as in `JSONArgsRecommended`.
        rule: &'static str,
        /// The file's name as the user knows it.
        file: &'a str,
        /// Counted from 1.
        line: usize,
    },
    /// A flag of docker's was given that changes nothing here.
    FlagIgnored,
    /// The build checks do without what a base would tell them, because the base cannot be had.
    CheckWithoutBase,
    /// An `ARG` without a value has, or could have, that of the tag or of git.
    GitArguments,
    /// A standard label is empty, or not in its form.
    StandardLabel,
    /// No `ARG` names a build argument that was given.
    UnusedBuildArgument,
    /// A Dockerfile asks for a front end, and the built-in reader reads it all the same.
    SyntaxNotFetched,
    /// A spec does not read the `.dockerignore` that it adds.
    DockerignoreNotRead,
    /// Git does not tell revision, source and commit time of the context.
    RevisionUnknown,
    /// The registry does not answer, and a base is taken as it was when it was last pulled.
    BaseNotChecked,
    /// A base is for another platform than the one that is built.
    BasePlatform,
    /// The image stands on the base already that it is to be rebased onto.
    AlreadyOnBase,
    /// No file matches a pattern of `COPY` or `ADD`, and nothing is copied.
    NothingMatched,
    /// The image does not know an owner, and the files are root's.
    UnknownOwner,
    /// A socket, which no layer can hold, is left out.
    SocketLeftOut,
    /// A file has a name that removes another one when the layer is unpacked.
    WhiteoutName,
    /// Layers are made here that were to be taken from an image.
    CacheNotUsed,
    /// Steps are not kept for other machines.
    CacheNotWritten,
    /// Two targets have one name, and the last of them gets it.
    NameTwice,
    /// The image goes nowhere but into the local store.
    NoOutput,
    /// An engine that is there cannot be used, and the image is in the local store alone.
    EngineLeftOut,
    /// An output lies among what is added, and so goes into the next build.
    OutputAmongInputs,
    /// An archive or layout goes without a layer that is available from elsewhere.
    ForeignLayerLeftOut,
    /// Older versions of docker cannot load the zstd layers of a docker archive.
    ZstdInDockerArchive,
    /// What attests to an image is left out, since the image becomes another.
    AttestationLeftOut,
    /// A registry lists something as referring to an image, which does not.
    WrongReferrer,
    /// Devices, which only root can make, are left out where files are unpacked.
    DeviceLeftOut,
    /// Set-user-ID and set-group-ID bits are left out, since the files have another owner.
    SetIdLeftOut,
    /// Extended attributes, which cannot be set there, are left out.
    XattrLeftOut,
    /// The tags of a repository cannot be listed, and fewer versions are compared with.
    TagsNotListed,
    /// A mirror cannot be used, and the next place is asked.
    MirrorLeftOut,
    /// The shell that was to be opened in a failed step could not be.
    NoShell,
    /// The local store may be over its limit.
    StoreNotTrimmed,
    /// There is no place for a local store that lasts.
    TemporaryStore,
    /// A document is a template, and no digest is put into it.
    TemplateLeftAlone,
    /// A registry has no image of a name that was to get a digest.
    ImageNotResolved,
    /// How long everything took cannot be written down.
    TimingsNotWritten,
}

impl WarningKind<'_> {
    /// Returns the name by which programs know the kind. It stays what it is.
    pub fn name(self) -> &'static str {
        match self {
            WarningKind::BuildCheck { .. } => "build-check",
            WarningKind::FlagIgnored => "flag-ignored",
            WarningKind::CheckWithoutBase => "check-without-base",
            WarningKind::GitArguments => "git-arguments",
            WarningKind::StandardLabel => "standard-label",
            WarningKind::UnusedBuildArgument => "unused-build-argument",
            WarningKind::SyntaxNotFetched => "syntax-not-fetched",
            WarningKind::DockerignoreNotRead => "dockerignore-not-read",
            WarningKind::RevisionUnknown => "revision-unknown",
            WarningKind::BaseNotChecked => "base-not-checked",
            WarningKind::BasePlatform => "base-platform",
            WarningKind::AlreadyOnBase => "already-on-base",
            WarningKind::NothingMatched => "nothing-matched",
            WarningKind::UnknownOwner => "unknown-owner",
            WarningKind::SocketLeftOut => "socket-left-out",
            WarningKind::WhiteoutName => "whiteout-name",
            WarningKind::CacheNotUsed => "cache-not-used",
            WarningKind::CacheNotWritten => "cache-not-written",
            WarningKind::NameTwice => "name-twice",
            WarningKind::NoOutput => "no-output",
            WarningKind::EngineLeftOut => "engine-left-out",
            WarningKind::OutputAmongInputs => "output-among-inputs",
            WarningKind::ForeignLayerLeftOut => "foreign-layer-left-out",
            WarningKind::ZstdInDockerArchive => "zstd-in-docker-archive",
            WarningKind::AttestationLeftOut => "attestation-left-out",
            WarningKind::WrongReferrer => "wrong-referrer",
            WarningKind::DeviceLeftOut => "device-left-out",
            WarningKind::SetIdLeftOut => "set-id-left-out",
            WarningKind::XattrLeftOut => "xattr-left-out",
            WarningKind::TagsNotListed => "tags-not-listed",
            WarningKind::MirrorLeftOut => "mirror-left-out",
            WarningKind::NoShell => "no-shell",
            WarningKind::StoreNotTrimmed => "store-not-trimmed",
            WarningKind::TemporaryStore => "temporary-store",
            WarningKind::TemplateLeftAlone => "template-left-alone",
            WarningKind::ImageNotResolved => "image-not-resolved",
            WarningKind::TimingsNotWritten => "timings-not-written",
        }
    }
}
