//! The keys of compose files, each with what it has, in the order in which compose writes them.

use super::kinds::Kinds;
use super::schema_parts::{
    BLKIO, BOOLEAN, COMMAND, CREDENTIALS, DEPENDENCY, DEPLOY, DEVELOP, DEVICE, DISTINCT_TEXTS, DURATION, GPUS,
    HEALTHCHECK, HOOK, HOSTS, INTEGER, LABELS, LIMITS, LOGGING, MODEL_USE, MOUNT, MOUNTED_FILE, NETWORK_USE, NUMBER,
    OPTIONS, PORT, PROVIDER, TEXT, TEXT_OR_TEXTS, TEXTS, TRUNCATED, UNIQUE_LABELS, UNIQUE_TEXT_OR_TEXTS, UNIQUE_TEXTS,
    UNIQUE_VARIABLES, VARIABLE_FILE, VARIABLES,
};
use super::shape::ScalarReading;
use super::shape::{EntryRule, Field, Shape};
use super::{identity, port, short_form};

use Shape::{
    Always, Checked, Distinct, Either, Entries, Inline, Kept, List, Made, Map, Named, Needs, Nullable, OneOf, Record,
    Scalar, Short, Unique, Within,
};

/// A whole file.
pub const FILE: Shape = Record(&[
    ("name", TEXT),
    ("version", TEXT),
    ("services", Named(&SERVICE)),
    ("networks", Map(&Nullable(&NETWORK))),
    ("volumes", Named(&Nullable(&VOLUME))),
    ("secrets", Named(&SECRET)),
    ("configs", Named(&CONFIG)),
    ("models", Map(&MODEL)),
]);

/// One service.
pub const SERVICE: Shape = Record(SERVICE_FIELDS);

const MEMORY: Shape = Scalar(Kinds::TEXT.or(Kinds::NUMBER), ScalarReading::Size);
const WHOLE_MEMORY: Shape = Scalar(Kinds::TEXT.or(Kinds::INTEGER), ScalarReading::Size);
const TEXT_OR_NUMBERS: Shape = List(&Scalar(Kinds::TEXT.or(Kinds::NUMBER), ScalarReading::Text));

const SERVICE_FIELDS: &[Field] = &[
    ("profiles", UNIQUE_TEXTS),
    ("annotations", UNIQUE_LABELS),
    ("attach", Kept(&BOOLEAN)),
    ("build", BUILD),
    ("develop", Nullable(&DEVELOP)),
    ("blkio_config", BLKIO),
    ("cap_add", UNIQUE_TEXTS),
    ("cap_drop", UNIQUE_TEXTS),
    ("cgroup_parent", TEXT),
    ("cgroup", OneOf(&["host", "private"])),
    ("cpu_count", Within(0, i64::MAX, &INTEGER)),
    ("cpu_percent", Within(0, 100, &INTEGER)),
    ("cpu_period", TRUNCATED),
    ("cpu_quota", TRUNCATED),
    ("cpu_rt_period", TRUNCATED),
    ("cpu_rt_runtime", TRUNCATED),
    ("cpus", NUMBER),
    ("cpuset", TEXT),
    ("cpu_shares", TRUNCATED),
    ("command", Always(&COMMAND)),
    ("configs", Unique(identity::config, &List(&MOUNTED_FILE))),
    ("container_name", Checked(identity::container_name, &TEXT)),
    ("credential_spec", CREDENTIALS),
    ("depends_on", Short(short_form::dependencies, &Either(&[DISTINCT_TEXTS, Named(&DEPENDENCY)]))),
    ("deploy", Nullable(&DEPLOY)),
    ("device_cgroup_rules", DISTINCT_TEXTS),
    ("devices", Unique(identity::device, &List(&DEVICE))),
    ("dns", Short(short_form::addresses, &UNIQUE_TEXT_OR_TEXTS)),
    ("dns_opt", UNIQUE_TEXTS),
    ("dns_search", UNIQUE_TEXT_OR_TEXTS),
    ("domainname", TEXT),
    ("entrypoint", Always(&COMMAND)),
    ("provider", PROVIDER),
    ("environment", UNIQUE_VARIABLES),
    (
        "env_file",
        Unique(identity::variable_file, &Short(short_form::variable_files, &Either(&[TEXT, List(&VARIABLE_FILE)]))),
    ),
    ("expose", Unique(identity::exposed, &Distinct(&TEXT_OR_NUMBERS))),
    (
        "extends",
        Short(
            short_form::extends,
            &Either(&[TEXT, Needs(&["service"], &Record(&[("file", TEXT), ("service", TEXT)]))]),
        ),
    ),
    ("external_links", DISTINCT_TEXTS),
    ("extra_hosts", Made(short_form::hosts, &HOSTS)),
    ("group_add", Checked(identity::no_fractions, &Distinct(&TEXT_OR_NUMBERS))),
    ("gpus", Short(short_form::gpus, &GPUS)),
    ("hostname", TEXT),
    ("healthcheck", HEALTHCHECK),
    ("image", TEXT),
    ("init", Kept(&BOOLEAN)),
    ("ipc", TEXT),
    ("isolation", TEXT),
    ("labels", UNIQUE_LABELS),
    ("label_file", Short(short_form::texts, &Either(&[TEXT, TEXTS]))),
    ("links", UNIQUE_TEXTS),
    ("logging", LOGGING),
    ("mem_limit", MEMORY),
    ("mem_reservation", WHOLE_MEMORY),
    ("memswap_limit", MEMORY),
    ("mem_swappiness", WHOLE_MEMORY),
    ("mac_address", TEXT),
    ("models", Short(short_form::networks, &Either(&[DISTINCT_TEXTS, Map(&Nullable(&MODEL_USE))]))),
    ("network_mode", TEXT),
    ("networks", Short(short_form::networks, &Either(&[DISTINCT_TEXTS, Named(&Nullable(&NETWORK_USE))]))),
    ("oom_kill_disable", BOOLEAN),
    ("oom_score_adj", Within(-1000, 1000, &INTEGER)),
    ("pid", Nullable(&TEXT)),
    ("pids_limit", TRUNCATED),
    ("platform", TEXT),
    ("ports", Unique(identity::port, &Short(port::list, &List(&PORT)))),
    ("privileged", BOOLEAN),
    ("pull_policy", Checked(identity::pull_policy, &TEXT)),
    ("pull_refresh_after", TEXT),
    ("read_only", BOOLEAN),
    ("restart", TEXT),
    ("runtime", TEXT),
    ("scale", Kept(&INTEGER)),
    ("secrets", Unique(identity::secret, &List(&MOUNTED_FILE))),
    ("security_opt", DISTINCT_TEXTS),
    ("shm_size", MEMORY),
    ("stdin_open", BOOLEAN),
    ("stop_grace_period", Kept(&DURATION)),
    ("stop_signal", TEXT),
    (
        "storage_opt",
        Entries(EntryRule { kinds: Kinds::TEXT.or(Kinds::INTEGER), takes_list: false, keeps_nothing: false }),
    ),
    ("sysctls", UNIQUE_LABELS),
    ("tmpfs", UNIQUE_TEXT_OR_TEXTS),
    ("tty", BOOLEAN),
    ("ulimits", LIMITS),
    ("use_api_socket", Scalar(Kinds::BOOLEAN, ScalarReading::Boolean)),
    ("user", TEXT),
    ("userns_mode", TEXT),
    ("uts", TEXT),
    ("volumes", Unique(identity::mount, &List(&MOUNT))),
    ("volumes_from", DISTINCT_TEXTS),
    ("working_dir", TEXT),
    ("post_start", List(&HOOK)),
    ("pre_start", List(&HOOK)),
    ("pre_stop", List(&HOOK)),
];

/// What is built.
pub const BUILD: Shape = Short(short_form::build, &Either(&[TEXT, Record(BUILD_FIELDS)]));

const TEXT_OR_BOOLEAN: Shape = Short(short_form::worded, &Scalar(Kinds::TEXT.or(Kinds::BOOLEAN), ScalarReading::Text));

const BUILD_FIELDS: &[Field] = &[
    ("context", TEXT),
    ("dockerfile", TEXT),
    ("dockerfile_inline", TEXT),
    ("entitlements", TEXTS),
    ("args", UNIQUE_VARIABLES),
    ("provenance", TEXT_OR_BOOLEAN),
    ("sbom", TEXT_OR_BOOLEAN),
    ("ssh", Made(short_form::agent_list, &Short(short_form::agents, &VARIABLES))),
    ("labels", UNIQUE_LABELS),
    ("cache_from", TEXTS),
    ("cache_to", TEXTS),
    ("no_cache", BOOLEAN),
    ("no_cache_filter", TEXT_OR_TEXTS),
    ("additional_contexts", Short(short_form::pairs, &UNIQUE_LABELS)),
    ("pull", BOOLEAN),
    ("extra_hosts", Made(short_form::hosts, &HOSTS)),
    ("isolation", TEXT),
    ("network", TEXT),
    ("target", TEXT),
    ("secrets", List(&MOUNTED_FILE)),
    ("shm_size", WHOLE_MEMORY),
    ("tags", UNIQUE_TEXTS),
    ("ulimits", LIMITS),
    ("platforms", TEXTS),
    ("privileged", BOOLEAN),
];

const EXTERNAL: Shape =
    Either(&[Scalar(Kinds::TEXT.or(Kinds::BOOLEAN), ScalarReading::Boolean), Record(&[("name", TEXT)])]);

const PLAIN_TEXTS: Shape = Entries(EntryRule { kinds: Kinds::TEXT, takes_list: false, keeps_nothing: false });

const IPAM: Shape = Record(&[
    ("driver", TEXT),
    (
        "config",
        List(&Record(&[("subnet", TEXT), ("gateway", TEXT), ("ip_range", TEXT), ("aux_addresses", PLAIN_TEXTS)])),
    ),
    // Compose reads them, and makes nothing of them.
    ("options", Made(short_form::nothing_of, &PLAIN_TEXTS)),
]);

const NETWORK: Shape = Short(
    short_form::external,
    &Record(&[
        ("name", TEXT),
        ("driver", TEXT),
        ("driver_opts", OPTIONS),
        ("ipam", Inline(&IPAM)),
        ("external", EXTERNAL),
        ("internal", BOOLEAN),
        ("attachable", BOOLEAN),
        ("labels", UNIQUE_LABELS),
        ("enable_ipv4", Kept(&BOOLEAN)),
        ("enable_ipv6", Kept(&BOOLEAN)),
    ]),
);

const VOLUME: Shape = Short(
    short_form::external,
    &Record(&[("name", TEXT), ("driver", TEXT), ("driver_opts", OPTIONS), ("external", EXTERNAL), ("labels", LABELS)]),
);

const SECRET: Shape = Short(
    short_form::external,
    &Record(&[
        ("name", TEXT),
        ("file", TEXT),
        ("environment", TEXT),
        ("external", EXTERNAL),
        ("labels", LABELS),
        ("driver", TEXT),
        ("driver_opts", OPTIONS),
        ("template_driver", TEXT),
    ]),
);

const CONFIG: Shape = Short(
    short_form::external,
    &Record(&[
        ("name", TEXT),
        ("file", TEXT),
        ("environment", TEXT),
        ("content", TEXT),
        ("external", EXTERNAL),
        ("labels", LABELS),
        ("template_driver", TEXT),
    ]),
);

const MODEL: Shape = Needs(
    &["model"],
    &Record(&[
        ("name", TEXT),
        ("model", TEXT),
        ("context_size", Scalar(Kinds::INTEGER, ScalarReading::Integer)),
        ("runtime_flags", TEXTS),
    ]),
);
