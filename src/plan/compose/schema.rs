//! The keys of compose files, each with what it has, in the order in which compose writes them.

use super::node::YamlNode;
use super::shape::{Field, Shape};
use super::{mount, port, short_form};

use Shape::{
    Any, Boolean, Choice, Command, Count, Duration, FileMode, Integer, List, Map, Number, Pairs, Record, Scalar,
    Scalars, Short, Size, Text, TextOrTexts, Unique, Variables,
};

/// A whole file.
pub const FILE: Shape = Record(&[
    ("name", Text),
    ("services", Map(&SERVICE)),
    ("networks", Map(&NETWORK)),
    ("volumes", Map(&VOLUME)),
    ("secrets", Map(&SECRET)),
    ("configs", Map(&SECRET)),
    ("models", Map(&Any)),
]);

const TEXTS: Shape = List(&Text);
const UNIQUE_TEXTS: Shape = Unique(own, &TEXTS);
const UNIQUE_TEXT_OR_TEXTS: Shape = Unique(own, &TextOrTexts);

/// A value is there twice if it says the same.
fn own(node: &YamlNode) -> String {
    node.scalar().unwrap_or_default()
}

fn path(node: &YamlNode) -> String {
    node.text_of("path").unwrap_or_default().to_owned()
}

fn target(node: &YamlNode) -> String {
    let target = node.text_of("target").filter(|target| !target.is_empty());
    target.map_or_else(|| format!("\0{}", node.text_of("source").unwrap_or_default()), str::to_owned)
}

/// One service.
pub const SERVICE: Shape = Record(SERVICE_FIELDS);

const SERVICE_FIELDS: &[Field] = &[
    ("profiles", UNIQUE_TEXTS),
    ("annotations", Pairs),
    ("attach", Choice),
    ("build", BUILD),
    ("develop", Any),
    ("blkio_config", Any),
    ("cap_add", UNIQUE_TEXTS),
    ("cap_drop", UNIQUE_TEXTS),
    ("cgroup_parent", Text),
    ("cgroup", Text),
    ("cpu_count", Integer),
    ("cpu_percent", Number),
    ("cpu_period", Scalar),
    ("cpu_quota", Scalar),
    ("cpu_rt_period", Scalar),
    ("cpu_rt_runtime", Scalar),
    ("cpus", Number),
    ("cpuset", Text),
    ("cpu_shares", Integer),
    ("command", Command),
    ("configs", Unique(target, &List(&MOUNTED_FILE))),
    ("container_name", Text),
    ("credential_spec", Any),
    ("depends_on", Short(short_form::dependencies, &Map(&DEPENDENCY))),
    ("deploy", DEPLOY),
    ("device_cgroup_rules", TEXTS),
    ("devices", Unique(target, &List(&DEVICE))),
    ("dns", UNIQUE_TEXT_OR_TEXTS),
    ("dns_opt", UNIQUE_TEXTS),
    ("dns_search", UNIQUE_TEXT_OR_TEXTS),
    ("domainname", Text),
    ("entrypoint", Command),
    ("provider", Any),
    ("environment", Variables),
    ("env_file", Unique(path, &Short(short_form::variable_files, &List(&VARIABLE_FILE)))),
    ("expose", Unique(own, &Scalars)),
    ("extends", Short(short_form::extends, &Record(&[("service", Text), ("file", Text)]))),
    ("external_links", TEXTS),
    ("extra_hosts", Short(short_form::hosts, &TEXTS)),
    ("group_add", Scalars),
    ("gpus", Any),
    ("hostname", Text),
    ("healthcheck", HEALTHCHECK),
    ("image", Text),
    ("init", Choice),
    ("ipc", Text),
    ("isolation", Text),
    ("labels", Pairs),
    ("label_file", UNIQUE_TEXT_OR_TEXTS),
    ("links", UNIQUE_TEXTS),
    ("logging", Record(&[("driver", Text), ("options", Pairs)])),
    ("mem_limit", Size),
    ("mem_reservation", Size),
    ("memswap_limit", Size),
    ("mem_swappiness", Integer),
    ("mac_address", Text),
    ("models", Short(short_form::networks, &Map(&Any))),
    ("network_mode", Text),
    ("networks", Short(short_form::networks, &Map(&ATTACHMENT))),
    ("oom_kill_disable", Boolean),
    ("oom_score_adj", Integer),
    ("pid", Text),
    ("pids_limit", Integer),
    ("platform", Text),
    ("ports", Unique(port::key, &Short(port::list, &List(&PORT)))),
    ("post_start", List(&Any)),
    ("pre_start", List(&Any)),
    ("pre_stop", List(&Any)),
    ("privileged", Boolean),
    ("pull_policy", Text),
    ("read_only", Boolean),
    ("restart", Text),
    ("runtime", Text),
    ("scale", Count),
    ("secrets", Unique(target, &List(&MOUNTED_FILE))),
    ("security_opt", TEXTS),
    ("shm_size", Size),
    ("stdin_open", Boolean),
    ("stop_grace_period", Duration),
    ("stop_signal", Text),
    ("storage_opt", Pairs),
    ("sysctls", Pairs),
    ("tmpfs", UNIQUE_TEXT_OR_TEXTS),
    ("tty", Boolean),
    ("ulimits", Map(&LIMIT)),
    ("use_api_socket", Boolean),
    ("user", Text),
    ("userns_mode", Text),
    ("uts", Text),
    ("volumes", Unique(mount::key, &List(&MOUNT))),
    ("volumes_from", TEXTS),
    ("working_dir", Text),
];

/// What is built.
pub const BUILD: Shape = Short(short_form::build, &Record(BUILD_FIELDS));

const BUILD_FIELDS: &[Field] = &[
    ("context", Text),
    ("dockerfile", Text),
    ("dockerfile_inline", Text),
    ("entitlements", TEXTS),
    ("args", Variables),
    ("provenance", Scalar),
    ("sbom", Scalar),
    ("ssh", Short(short_form::agents, &TEXTS)),
    ("labels", Pairs),
    ("cache_from", TEXTS),
    ("cache_to", TEXTS),
    ("no_cache", Boolean),
    ("no_cache_filter", TextOrTexts),
    ("additional_contexts", Pairs),
    ("pull", Boolean),
    ("extra_hosts", Short(short_form::build_hosts, &TEXTS)),
    ("isolation", Text),
    ("network", Text),
    ("target", Text),
    ("secrets", List(&MOUNTED_FILE)),
    ("shm_size", Size),
    ("tags", UNIQUE_TEXTS),
    ("ulimits", Map(&LIMIT)),
    ("platforms", TEXTS),
    ("privileged", Boolean),
];

const MOUNTED_FILE: Shape = Short(
    short_form::source,
    &Record(&[("source", Text), ("target", Text), ("uid", Scalar), ("gid", Scalar), ("mode", FileMode)]),
);

const LIMIT: Shape = Short(short_form::limit, &Any);

const DEPENDENCY: Shape = Record(&[("condition", Text), ("restart", Boolean), ("required", Choice)]);

const VARIABLE_FILE: Shape = Record(&[("path", Text), ("required", Choice), ("format", Text)]);

const DEVICE: Shape = Short(mount::device, &Record(&[("source", Text), ("target", Text), ("permissions", Text)]));

const HEALTHCHECK: Shape = Record(&[
    ("test", Short(mount::health_test, &TEXTS)),
    ("timeout", Duration),
    ("interval", Duration),
    ("retries", Count),
    ("start_period", Duration),
    ("start_interval", Duration),
    ("disable", Boolean),
]);

const ATTACHMENT: Shape = Record(&[
    ("aliases", UNIQUE_TEXTS),
    ("driver_opts", Pairs),
    ("gw_priority", Integer),
    ("interface_name", Text),
    ("ipv4_address", Text),
    ("ipv6_address", Text),
    ("link_local_ips", UNIQUE_TEXTS),
    ("mac_address", Text),
    ("priority", Integer),
]);

const PORT: Shape = Record(&[
    ("name", Text),
    ("mode", Text),
    ("host_ip", Text),
    ("target", Integer),
    ("published", Scalar),
    ("protocol", Text),
    ("app_protocol", Text),
]);

const MOUNT: Shape = Short(
    mount::long,
    &Record(&[
        ("type", Text),
        ("source", Text),
        ("target", Text),
        ("read_only", Boolean),
        ("consistency", Text),
        (
            "bind",
            Record(&[("selinux", Text), ("propagation", Text), ("create_host_path", Choice), ("recursive", Text)]),
        ),
        ("volume", Record(&[("labels", Pairs), ("nocopy", Boolean), ("subpath", Text)])),
        ("tmpfs", Record(&[("size", Size), ("mode", Integer)])),
        ("image", Record(&[("subpath", Text)])),
    ]),
);

const UPDATE: Shape = Record(&[
    ("parallelism", Count),
    ("delay", Duration),
    ("failure_action", Text),
    ("monitor", Duration),
    ("max_failure_ratio", Number),
    ("order", Text),
]);

const RESOURCES: Shape = Record(&[
    ("cpus", Number),
    ("memory", Size),
    ("pids", Integer),
    ("devices", List(&Any)),
    ("generic_resources", List(&Any)),
]);

const DEPLOY: Shape = Record(&[
    ("mode", Text),
    ("replicas", Count),
    ("labels", Pairs),
    ("update_config", UPDATE),
    ("rollback_config", UPDATE),
    ("resources", Record(&[("limits", RESOURCES), ("reservations", RESOURCES)])),
    (
        "restart_policy",
        Record(&[("condition", Text), ("delay", Duration), ("max_attempts", Count), ("window", Duration)]),
    ),
    ("placement", Record(&[("constraints", TEXTS), ("preferences", List(&Any)), ("max_replicas_per_node", Integer)])),
    ("endpoint_mode", Text),
]);

const NETWORK: Shape = Short(
    short_form::external,
    &Record(&[
        ("name", Text),
        ("driver", Text),
        ("driver_opts", Pairs),
        ("ipam", Any),
        ("external", Boolean),
        ("internal", Boolean),
        ("attachable", Boolean),
        ("labels", Pairs),
        ("enable_ipv4", Choice),
        ("enable_ipv6", Choice),
    ]),
);

const VOLUME: Shape = Short(
    short_form::external,
    &Record(&[("name", Text), ("driver", Text), ("driver_opts", Pairs), ("external", Boolean), ("labels", Pairs)]),
);

const SECRET: Shape = Short(
    short_form::external,
    &Record(&[
        ("name", Text),
        ("file", Text),
        ("environment", Text),
        ("content", Text),
        ("external", Boolean),
        ("labels", Pairs),
        ("driver", Text),
        ("driver_opts", Pairs),
        ("template_driver", Text),
    ]),
);
