//! The parts of services that are made of several values.

use super::kinds::Kinds;
use super::shape::{EntryRule, ScalarReading, Shape};
use super::{identity, mount, port, short_form};

use Shape::{
    Always, Distinct, Either, Entries, Inline, Kept, List, Made, Map, Needs, Nullable, OneOf, Record, Scalar, Short,
    Unique, Within,
};

pub const TEXT: Shape = Scalar(Kinds::TEXT, ScalarReading::Text);
pub const TEXTS: Shape = List(&TEXT);
pub const DISTINCT_TEXTS: Shape = Distinct(&TEXTS);
pub const UNIQUE_TEXTS: Shape = Unique(identity::named, &DISTINCT_TEXTS);
/// Text, or a list of it, which it becomes.
pub const TEXT_OR_TEXTS: Shape = Made(short_form::texts, &Either(&[TEXT, DISTINCT_TEXTS]));
pub const UNIQUE_TEXT_OR_TEXTS: Shape = Unique(identity::named, &TEXT_OR_TEXTS);
pub const BOOLEAN: Shape = Scalar(Kinds::TEXT.or(Kinds::BOOLEAN), ScalarReading::Boolean);
pub const INTEGER: Shape = Scalar(Kinds::TEXT.or(Kinds::INTEGER), ScalarReading::Integer);
/// A number of which the whole part counts.
pub const TRUNCATED: Shape = Scalar(Kinds::TEXT.or(Kinds::NUMBER), ScalarReading::Integer);
pub const NUMBER: Shape = Scalar(Kinds::TEXT.or(Kinds::NUMBER), ScalarReading::Float);
pub const DURATION: Shape = Scalar(Kinds::TEXT, ScalarReading::Duration);

/// A number of things.
const COUNT: Shape = Within(0, i64::MAX, &INTEGER);
/// What any value of a mapping can be.
const VALUES: Kinds = Kinds::TEXT.or(Kinds::NUMBER).or(Kinds::BOOLEAN).or(Kinds::NULL);

pub const VARIABLES: Shape = Entries(EntryRule { kinds: VALUES, takes_list: true, keeps_nothing: true });
/// The same, without what is there twice.
pub const UNIQUE_VARIABLES: Shape = Unique(identity::named, &VARIABLES);
pub const LABELS: Shape = Entries(EntryRule { kinds: VALUES, takes_list: true, keeps_nothing: false });
pub const UNIQUE_LABELS: Shape = Unique(identity::named, &LABELS);
pub const OPTIONS: Shape =
    Entries(EntryRule { kinds: Kinds::TEXT.or(Kinds::NUMBER), takes_list: false, keeps_nothing: false });

pub const COMMAND: Shape = Made(short_form::command, &Nullable(&Either(&[TEXT, TEXTS])));

pub const HOSTS: Shape = Either(&[Map(&Either(&[TEXT, TEXTS])), DISTINCT_TEXTS]);

pub const MOUNTED_FILE: Shape = Short(
    short_form::source,
    &Either(&[
        TEXT,
        Record(&[
            ("source", TEXT),
            ("target", TEXT),
            ("uid", TEXT),
            ("gid", TEXT),
            ("mode", Scalar(Kinds::TEXT.or(Kinds::NUMBER), ScalarReading::FileMode)),
        ]),
    ]),
);

const LIMIT: Shape = Made(short_form::limit, &LIMIT_FORMS);

const LIMIT_FORMS: Shape =
    Either(&[INTEGER, Needs(&["soft", "hard"], &Record(&[("soft", Kept(&INTEGER)), ("hard", Kept(&INTEGER))]))]);

pub const LIMITS: Shape = Map(&LIMIT);

pub const DEPENDENCY: Shape = Needs(
    &["condition"],
    &Record(&[
        ("condition", OneOf(&["service_started", "service_healthy", "service_completed_successfully"])),
        ("restart", BOOLEAN),
        ("required", Kept(&Scalar(Kinds::BOOLEAN, ScalarReading::Boolean))),
    ]),
);

pub const VARIABLE_FILE: Shape = Either(&[
    TEXT,
    Needs(&["path"], &Record(&[("path", Kept(&TEXT)), ("required", Kept(&BOOLEAN)), ("format", TEXT)])),
]);

pub const DEVICE: Shape = Short(
    mount::device,
    &Either(&[TEXT, Needs(&["source"], &Record(&[("source", TEXT), ("target", TEXT), ("permissions", TEXT)]))]),
);

const DEVICE_FIELDS: Shape = Record(&[
    ("capabilities", DISTINCT_TEXTS),
    ("driver", TEXT),
    ("count", Scalar(Kinds::TEXT.or(Kinds::INTEGER), ScalarReading::DeviceCount)),
    ("device_ids", DISTINCT_TEXTS),
    ("options", LABELS),
]);

pub const GPUS: Shape = Either(&[OneOf(&["all"]), List(&DEVICE_FIELDS)]);

pub const HEALTHCHECK: Shape = Record(&[
    ("test", Made(mount::health_test, &Either(&[TEXT, TEXTS]))),
    ("timeout", Kept(&DURATION)),
    ("interval", Kept(&DURATION)),
    ("retries", Kept(&Within(0, i64::MAX, &TRUNCATED))),
    ("start_period", Kept(&DURATION)),
    ("start_interval", Kept(&DURATION)),
    ("disable", BOOLEAN),
]);

pub const NETWORK_USE: Shape = Record(&[
    ("aliases", UNIQUE_TEXTS),
    ("driver_opts", OPTIONS),
    ("gw_priority", Scalar(Kinds::NUMBER, ScalarReading::Integer)),
    ("interface_name", TEXT),
    ("ipv4_address", TEXT),
    ("ipv6_address", TEXT),
    ("link_local_ips", UNIQUE_TEXTS),
    ("mac_address", TEXT),
    ("priority", Scalar(Kinds::NUMBER, ScalarReading::Integer)),
]);

pub const MODEL_USE: Shape = Record(&[("endpoint_var", TEXT), ("model_var", TEXT)]);

const PORT_FIELDS: Shape = Record(&[
    ("name", TEXT),
    ("mode", TEXT),
    ("host_ip", TEXT),
    ("target", INTEGER),
    ("published", Scalar(Kinds::TEXT.or(Kinds::INTEGER), ScalarReading::Text)),
    ("protocol", TEXT),
    ("app_protocol", TEXT),
]);

pub const PORT: Shape =
    Made(port::whole, &Either(&[PORT_FIELDS, Scalar(Kinds::TEXT.or(Kinds::NUMBER), ScalarReading::Text)]));

pub const MOUNT: Shape = Made(mount::whole, &Short(mount::long, &Either(&[TEXT, Needs(&["type"], &MOUNT_FIELDS)])));

const MOUNT_FIELDS: Shape = Record(&[
    ("type", OneOf(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
    ("source", TEXT),
    ("target", TEXT),
    ("read_only", BOOLEAN),
    ("consistency", TEXT),
    (
        "bind",
        Record(&[
            ("selinux", OneOf(&["z", "Z"])),
            ("propagation", TEXT),
            ("create_host_path", BOOLEAN),
            ("recursive", OneOf(&["enabled", "disabled", "writable", "readonly"])),
        ]),
    ),
    ("volume", Record(&[("labels", LABELS), ("nocopy", BOOLEAN), ("subpath", TEXT)])),
    (
        "tmpfs",
        Record(&[
            ("size", Within(0, i64::MAX, &Scalar(Kinds::TEXT.or(Kinds::INTEGER), ScalarReading::Size))),
            ("mode", Scalar(Kinds::NUMBER, ScalarReading::Integer)),
        ]),
    ),
    ("image", Record(&[("subpath", TEXT)])),
]);

pub const HOOK: Shape = Needs(
    &["command"],
    &Record(&[
        ("command", Always(&COMMAND)),
        ("user", TEXT),
        ("privileged", BOOLEAN),
        ("working_dir", TEXT),
        ("environment", VARIABLES),
    ]),
);

pub const DEVELOP: Shape = Record(&[(
    "watch",
    List(&Needs(
        &["path", "action"],
        &Record(&[
            ("path", Kept(&TEXT)),
            ("action", OneOf(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
            ("target", TEXT),
            ("exec", Inline(&HOOK)),
            ("include", Short(short_form::texts, &TEXT_OR_TEXTS)),
            ("ignore", Short(short_form::texts, &TEXT_OR_TEXTS)),
            ("initial_sync", Scalar(Kinds::BOOLEAN, ScalarReading::Boolean)),
        ]),
    )),
)]);

const RATES: Shape = List(&Record(&[
    ("path", Kept(&TEXT)),
    ("rate", Kept(&Scalar(Kinds::TEXT.or(Kinds::INTEGER), ScalarReading::Size))),
]));

const WEIGHT: Shape = Within(0, 65_535, &Scalar(Kinds::INTEGER, ScalarReading::Integer));

pub const BLKIO: Shape = Record(&[
    ("weight", WEIGHT),
    ("weight_device", List(&Record(&[("path", Kept(&TEXT)), ("weight", Kept(&WEIGHT))]))),
    ("device_read_bps", RATES),
    ("device_read_iops", RATES),
    ("device_write_bps", RATES),
    ("device_write_iops", RATES),
]);

pub const CREDENTIALS: Shape = Record(&[("config", TEXT), ("file", TEXT), ("registry", TEXT)]);

pub const LOGGING: Shape = Record(&[
    ("driver", TEXT),
    (
        "options",
        Entries(EntryRule {
            kinds: Kinds::TEXT.or(Kinds::NUMBER).or(Kinds::NULL),
            takes_list: false,
            keeps_nothing: false,
        }),
    ),
]);

const PROVIDED: Shape = Scalar(Kinds::TEXT.or(Kinds::NUMBER).or(Kinds::BOOLEAN), ScalarReading::Text);

pub const PROVIDER: Shape = Needs(
    &["type"],
    &Record(&[("type", TEXT), ("options", Map(&Made(short_form::texts, &Either(&[PROVIDED, List(&PROVIDED)]))))]),
);

const UPDATE: Shape = Record(&[
    ("parallelism", Kept(&COUNT)),
    ("delay", DURATION),
    ("failure_action", TEXT),
    ("monitor", DURATION),
    ("max_failure_ratio", NUMBER),
    ("order", OneOf(&["start-first", "stop-first"])),
]);

const DEPLOYED_MEMORY: Shape = Scalar(Kinds::TEXT, ScalarReading::Size);

const GENERIC_RESOURCE: Shape =
    Record(&[("discrete_resource_spec", Record(&[("kind", Kept(&TEXT)), ("value", Kept(&TRUNCATED))]))]);

const RESOURCES: Shape = Record(&[
    ("limits", Record(&[("cpus", NUMBER), ("memory", DEPLOYED_MEMORY), ("pids", INTEGER)])),
    (
        "reservations",
        Record(&[
            ("cpus", NUMBER),
            ("memory", DEPLOYED_MEMORY),
            ("devices", List(&Needs(&["capabilities"], &DEVICE_FIELDS))),
            ("generic_resources", List(&GENERIC_RESOURCE)),
        ]),
    ),
]);

pub const DEPLOY: Shape = Record(&[
    ("mode", TEXT),
    ("replicas", Kept(&INTEGER)),
    ("labels", UNIQUE_LABELS),
    ("update_config", UPDATE),
    ("rollback_config", UPDATE),
    ("resources", Inline(&RESOURCES)),
    (
        "restart_policy",
        Record(&[
            ("condition", TEXT),
            ("delay", Kept(&DURATION)),
            ("max_attempts", Kept(&COUNT)),
            ("window", Kept(&DURATION)),
        ]),
    ),
    (
        "placement",
        Inline(&Record(&[
            ("constraints", TEXTS),
            ("preferences", List(&Record(&[("spread", TEXT)]))),
            ("max_replicas_per_node", COUNT),
        ])),
    ),
    ("endpoint_mode", TEXT),
]);
