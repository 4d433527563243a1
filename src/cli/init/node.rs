//! Node: a server, or a site that is built and then served.

use semver::{Version, VersionReq};
use serde_json::Value;

use super::draft::{Draft, RecipeForm};
use super::files::SERVER;
use super::look::LookedAt;
use super::quote::{exec_form, is_plain_path};
use crate::error::{Error, Result};

/// What it goes by.
pub const MANIFEST: &str = "package.json";

/// The major versions with long-term support, the one to be taken first.
const VERSIONS: [u64; 6] = [24, 22, 20, 18, 16, 14];

/// What serves a site while it is written, by what it depends on, and where it builds the site.
const SITE_BUILDERS: [(&str, &str); 6] = [
    ("vite", "dist"),
    ("react-scripts", "build"),
    ("@vue/cli-service", "dist"),
    ("astro", "dist"),
    ("parcel", "dist"),
    ("gatsby", "public"),
];

/// What a server is called where `package.json` does not say.
const USUAL_SERVERS: [&str; 5] = ["server.js", "index.js", "app.js", "src/index.js", "src/server.js"];

/// What installs the packages.
struct PackageManager {
    lock: &'static str,
    /// Other files that it reads, where they are there.
    also: &'static [&'static str],
    /// The command that makes the program itself be there.
    prepare: Option<&'static str>,
    install: &'static str,
    install_for_production: &'static str,
    run: &'static str,
    cache: &'static str,
}

const NPM: PackageManager = PackageManager {
    lock: "package-lock.json",
    also: &[".npmrc"],
    prepare: None,
    install: "npm ci",
    install_for_production: "npm ci --omit=dev",
    run: "npm run",
    cache: "/root/.npm",
};

const MANAGERS: [PackageManager; 3] = [
    PackageManager {
        lock: "pnpm-lock.yaml",
        also: &[".npmrc", "pnpm-workspace.yaml"],
        prepare: Some("npm install --global --force corepack && corepack enable"),
        install: "pnpm install --frozen-lockfile",
        install_for_production: "pnpm install --frozen-lockfile --prod",
        run: "pnpm run",
        cache: "/root/.local/share/pnpm/store",
    },
    PackageManager {
        lock: "yarn.lock",
        also: &[".yarnrc"],
        prepare: None,
        install: "yarn install --frozen-lockfile",
        install_for_production: "yarn install --frozen-lockfile --production",
        run: "yarn run",
        cache: "/usr/local/share/.cache/yarn",
    },
    NPM,
];

/// yarn of 2 and newer, which has other words and a setting of its own.
const NEWER_YARN: PackageManager = PackageManager {
    lock: "yarn.lock",
    also: &[".yarnrc.yml"],
    prepare: Some("npm install --global --force corepack && corepack enable"),
    install: "yarn install --immutable",
    install_for_production: "yarn workspaces focus --production",
    run: "yarn run",
    cache: "/root/.yarn/berry/cache",
};

const UNLOCKED_NPM: PackageManager =
    PackageManager { lock: "", install: "npm install", install_for_production: "npm install --omit=dev", ..NPM };

/// What was seen of a package.
struct NodeProject {
    seen: Vec<String>,
    name: String,
    version: u64,
    manager: PackageManager,
    /// The files by which packages are installed.
    manifests: Vec<&'static str>,
    /// It has a script `build`.
    is_built: bool,
    run: Run,
}

/// What the image does.
enum Run {
    /// It runs these words.
    Server(Vec<String>),
    /// It serves what the build leaves in this directory.
    Site(&'static str),
}

/// Returns a Dockerfile. Fails where a spec is asked for, and where nothing says what is to be run.
pub fn draft(directory: &LookedAt, form: Option<RecipeForm>) -> Result<Draft> {
    RecipeForm::refuse_spec(form, "Node")?;
    let project = NodeProject::look(directory)?;
    let body = project.dockerfile();
    Ok(Draft {
        title: match project.run {
            Run::Server(_) => "a server of Node".to_owned(),
            Run::Site(_) => "a site that Node builds".to_owned(),
        },
        name: project.name,
        form: RecipeForm::Dockerfile,
        seen: project.seen,
        body,
        ignored: &["node_modules", "npm-debug.log*"],
        before: Vec::new(),
        left_open: None,
    })
}

impl NodeProject {
    fn look(directory: &LookedAt) -> Result<Self> {
        let text = directory.text(MANIFEST)?.ok_or_else(|| Error::not_found(format!("there is no {MANIFEST}")))?;
        let package: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| Error::input(format!("{MANIFEST} is not JSON")).with_source(error))?;
        let mut seen = Vec::new();
        let name = package["name"].as_str().unwrap_or(&directory.name()).to_owned();
        seen.push(format!("{MANIFEST}: the package {name}"));
        let version = version(directory, &package, &mut seen);
        let manager = manager(directory, &package, &mut seen);
        let listed = std::iter::once(MANIFEST).chain(Some(manager.lock).filter(|lock| !lock.is_empty()));
        let manifests = listed.chain(manager.also.iter().copied().filter(|file| directory.has(file))).collect();
        let is_built = package["scripts"]["build"].is_string();
        if let Some(script) = package["scripts"]["build"].as_str() {
            seen.push(format!("{MANIFEST}: the script build: {script}"));
        }
        let run = run(directory, &package, &mut seen)?;
        Ok(NodeProject { seen, name, version, manager, manifests, is_built, run })
    }

    fn dockerfile(&self) -> String {
        let NodeProject { version, manager, .. } = self;
        let files = self.manifests.join(" ");
        let prepare = manager.prepare.map(|command| format!("RUN {command}\n")).unwrap_or_default();
        let cache = format!("RUN --mount=type=cache,target={}", manager.cache);
        let install = |command: &str| format!("WORKDIR /app\n{prepare}COPY {files} ./\n{cache} {command}\n");
        let build = format!(
            "FROM node:{version}-slim AS build\n{}COPY . .\nRUN {} build\n\n",
            install(manager.install),
            manager.run
        );
        match &self.run {
            Run::Site(place) => {
                format!("{build}FROM {SERVER}\nCOPY --from=build /app/{place} /usr/share/nginx/html/\nEXPOSE 80\n")
            }
            Run::Server(words) => format!(
                "{}FROM node:{version}-slim\n\
                 ENV NODE_ENV=production\n\
                 {}{}\
                 USER node\n\
                 # The port that it listens on, if it goes by PORT.\n\
                 ENV PORT=3000\n\
                 EXPOSE 3000\n\
                 CMD {}\n",
                if self.is_built { &build } else { "" },
                install(manager.install_for_production),
                match self.is_built {
                    true => "COPY --from=build --exclude=node_modules /app ./\n",
                    false => "COPY . .\n",
                },
                exec_form(words),
            ),
        }
    }
}

/// The newest version with long-term support that will do.
fn version(directory: &LookedAt, package: &Value, seen: &mut Vec<String>) -> u64 {
    let pinned = [".nvmrc", ".node-version"].into_iter().find_map(|file| {
        let text = directory.glance(file)?;
        let major = text.trim().trim_start_matches('v').split('.').next()?.parse().ok()?;
        Some((file, major))
    });
    if let Some((file, major)) = pinned {
        seen.push(format!("{file}: node {major}"));
        return major;
    }
    let Some(range) = package["engines"]["node"].as_str() else { return VERSIONS[0] };
    seen.push(format!("{MANIFEST}: engines: node {range}"));
    VERSIONS.into_iter().find(|major| is_in(*major, range)).unwrap_or(VERSIONS[0])
}

/// Whether the newest of a major version is in a range, as npm writes it.
fn is_in(major: u64, range: &str) -> bool {
    let newest = Version::new(major, 999, 999);
    range.split("||").any(|range| {
        // npm's comparators stand behind each other, and may have a space before the number; a bare number is all of its versions.
        let mut comparators: Vec<String> = Vec::new();
        for word in range.split_whitespace() {
            match comparators.last_mut().filter(|last| last.ends_with(['<', '>', '=', '^', '~'])) {
                Some(last) => last.push_str(word),
                None => comparators.push(word.trim_start_matches('v').to_owned()),
            }
        }
        if let [low, dash, high] = &comparators[..]
            && dash == "-"
        {
            comparators = vec![format!(">={low}"), format!("<={high}")];
        }
        let bare = |word: &String| match word.parse::<u64>() {
            Ok(number) => format!("={number}"),
            Err(_) => word.clone(),
        };
        let wanted = comparators.iter().map(bare).collect::<Vec<_>>().join(", ");
        VersionReq::parse(&wanted).is_ok_and(|wanted| wanted.matches(&newest))
    })
}

fn manager(directory: &LookedAt, package: &Value, seen: &mut Vec<String>) -> PackageManager {
    let Some(manager) = MANAGERS.into_iter().find(|manager| directory.has(manager.lock)) else {
        seen.push("no package-lock.json, yarn.lock or pnpm-lock.yaml: versions of packages are not fixed".to_owned());
        return UNLOCKED_NPM;
    };
    let is_newer_yarn = || {
        let asked = package["packageManager"].as_str().and_then(|asked| asked.strip_prefix("yarn@"));
        directory.has(".yarnrc.yml") || asked.is_some_and(|version| !version.starts_with("1."))
    };
    seen.push(format!("{}: the versions of packages", manager.lock));
    if manager.lock == NEWER_YARN.lock && is_newer_yarn() { NEWER_YARN } else { manager }
}

/// What the image is to do, by the script `start`, by `main`, or by what is usual.
fn run(directory: &LookedAt, package: &Value, seen: &mut Vec<String>) -> Result<Run> {
    let depends_on =
        |name: &str| ["dependencies", "devDependencies"].iter().any(|kind| package[*kind].get(name).is_some());
    let start = package["scripts"]["start"].as_str();
    let builder = SITE_BUILDERS.into_iter().find(|(name, _)| depends_on(name));
    // What `start` is there runs while the site is written.
    let serves_itself = start.is_some_and(|start| start.trim_start().starts_with("node "));
    if let Some((builder, place)) = builder.filter(|_| package["scripts"]["build"].is_string() && !serves_itself) {
        seen.push(format!("{MANIFEST}: {builder}, which builds a site in {place}"));
        return Ok(Run::Site(place));
    }
    if let Some(start) = start {
        seen.push(format!("{MANIFEST}: the script start: {start}"));
        return Ok(Run::Server(started(start)));
    }
    let main = package["main"].as_str().map(|main| main.trim_start_matches("./"));
    let main = main.filter(|main| is_plain_path(main) && directory.has(main));
    match main.or_else(|| directory.first(&USUAL_SERVERS)) {
        Some(file) => {
            seen.push(format!("{file}: what is run"));
            Ok(Run::Server(vec!["node".to_owned(), file.to_owned()]))
        }
        None => Err(Error::input(format!("nothing in {MANIFEST} says what is to be run"))
            .with_details(vec![
                "there is no script `start`, `main` names no file that is there,".to_owned(),
                format!("and there is none of {}", USUAL_SERVERS.join(", ")),
            ])
            .with_hint("give it a script `start`")),
    }
}

/// The words of a script: its own, so that signals reach node, where no shell is needed to read them.
fn started(script: &str) -> Vec<String> {
    let words: Vec<String> = script.split_whitespace().map(str::to_owned).collect();
    let is_simple = |word: &String| word.chars().all(|c| c.is_ascii_alphanumeric() || "._+-/=@:".contains(c));
    match words.first().map(String::as_str) {
        Some("node") if words.iter().all(is_simple) => words,
        _ => ["npm", "start"].map(str::to_owned).to_vec(),
    }
}
