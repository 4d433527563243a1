//! Python: a web framework's application, a command of a package, or a script.

use regex::Regex;
use toml::Table;

use super::draft::{Draft, RecipeForm};
use super::look::LookedAt;
use super::quote::{exec_form, is_plain};
use crate::error::Result;

/// What it goes by.
pub const MANIFESTS: [&str; 5] = ["pyproject.toml", "requirements.txt", "setup.py", "Pipfile", "manage.py"];

/// The minor versions of Python 3, the one to be taken first.
const VERSIONS: [u32; 6] = [13, 12, 11, 10, 9, 8];

/// Where an application is looked for.
const USUAL_MODULES: [&str; 10] = [
    "main.py",
    "app.py",
    "server.py",
    "wsgi.py",
    "asgi.py",
    "run.py",
    "app/main.py",
    "app/__init__.py",
    "src/main.py",
    "src/app.py",
];

/// The name under which a framework's application stands in a module.
const APPLICATION: &str =
    r"(?m)^([A-Za-z_][A-Za-z0-9_]{0,60})\s*(?::[^=\n]{0,80})?=\s*(?:\w+\.)?(FastAPI|Starlette|Flask)\(";

/// What was seen of a project.
struct PythonProject {
    seen: Vec<String>,
    name: String,
    version: u32,
    installer: Installer,
    run: Vec<String>,
    port: Option<u16>,
    /// What could not be found out.
    left_open: Option<String>,
}

/// What says what is to be installed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Installer {
    Uv,
    Poetry,
    Pipenv,
    Requirements,
    /// The package itself, which says what it needs.
    Package,
    Nothing,
}

/// Returns a Dockerfile. Fails where a spec is asked for.
pub fn draft(directory: &LookedAt, form: Option<RecipeForm>) -> Result<Draft> {
    RecipeForm::refuse_spec(form, "Python")?;
    let project = PythonProject::look(directory)?;
    let body = project.dockerfile();
    Ok(Draft {
        title: "a Python program".to_owned(),
        name: project.name,
        form: RecipeForm::Dockerfile,
        seen: project.seen,
        body,
        ignored: &["**/__pycache__", "**/*.pyc", ".venv", "venv", ".pytest_cache", ".mypy_cache"],
        before: Vec::new(),
        left_open: project.left_open,
    })
}

impl PythonProject {
    fn look(directory: &LookedAt) -> Result<Self> {
        let pyproject = directory.toml("pyproject.toml")?.unwrap_or_default();
        let requirements = directory.text("requirements.txt")?.unwrap_or_default();
        let mut seen = Vec::new();
        let project = pyproject.get("project").or_else(|| pyproject.get("tool")?.get("poetry"));
        let named = project.and_then(|project| project.get("name")?.as_str());
        seen.extend(named.map(|name| format!("pyproject.toml: the project {name}")));
        let version = version(directory, &pyproject, &mut seen);
        let installer = Installer::of(directory, &pyproject, &mut seen);
        let needed = needed(&pyproject, &requirements, directory);
        let name = named.map_or_else(|| directory.name(), str::to_owned);
        let (run, port) = match run(directory, &pyproject, &needed, &mut seen) {
            Some((run, port)) => (Some(run), port),
            None => (None, None),
        };
        let left_open = run.is_none().then(|| "CMD, for nothing here says what is to be run".to_owned());
        let run = run.unwrap_or_else(|| words("python"));
        Ok(PythonProject { seen, name, version, installer, run, port, left_open })
    }

    fn dockerfile(&self) -> String {
        let pip = "RUN --mount=type=cache,target=/root/.cache/pip pip install";
        let install = match self.installer {
            Installer::Requirements => format!("COPY requirements.txt ./\n{pip} -r requirements.txt\nCOPY . .\n"),
            Installer::Package => format!("COPY . .\n{pip} .\n"),
            Installer::Nothing => "COPY . .\n".to_owned(),
            Installer::Uv => format!(
                "{pip} uv\n\
                 COPY pyproject.toml uv.lock ./\n\
                 RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-install-project\n\
                 ENV PATH=/app/.venv/bin:$PATH\n\
                 COPY . .\n\
                 RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev\n"
            ),
            Installer::Poetry => format!(
                "{pip} poetry\n\
                 ENV POETRY_VIRTUALENVS_IN_PROJECT=true PATH=/app/.venv/bin:$PATH\n\
                 COPY pyproject.toml poetry.lock ./\n\
                 RUN --mount=type=cache,target=/root/.cache/pypoetry poetry install --only main --no-root\n\
                 COPY . .\n\
                 RUN poetry install --only main\n"
            ),
            Installer::Pipenv => {
                format!("{pip} pipenv\nCOPY Pipfile Pipfile.lock ./\nRUN pipenv install --system --deploy\nCOPY . .\n")
            }
        };
        let port = self.port.map(|port| format!("EXPOSE {port}\n")).unwrap_or_default();
        format!(
            "FROM python:3.{}-slim\n\
             ENV PYTHONUNBUFFERED=1\n\
             WORKDIR /app\n\
             {install}\
             USER 65532:65532\n\
             {port}\
             CMD {}\n",
            self.version,
            exec_form(&self.run),
        )
    }
}

impl Installer {
    fn of(directory: &LookedAt, pyproject: &Table, seen: &mut Vec<String>) -> Self {
        let is_package = pyproject.contains_key("build-system") || pyproject.contains_key("project");
        let (file, what, installer) = if directory.has("uv.lock") && is_package {
            ("uv.lock", "the versions of packages, which uv installs", Installer::Uv)
        } else if directory.has("poetry.lock") && !pyproject.is_empty() {
            ("poetry.lock", "the versions of packages, which poetry installs", Installer::Poetry)
        } else if directory.has("Pipfile.lock") && directory.has("Pipfile") {
            ("Pipfile.lock", "the versions of packages, which pipenv installs", Installer::Pipenv)
        } else if directory.has("requirements.txt") {
            ("requirements.txt", "the packages that pip installs", Installer::Requirements)
        } else if is_package {
            ("pyproject.toml", "a package, which pip installs with what it needs", Installer::Package)
        } else if directory.has("setup.py") {
            ("setup.py", "a package, which pip installs with what it needs", Installer::Package)
        } else {
            return Installer::Nothing;
        };
        seen.push(format!("{file}: {what}"));
        installer
    }
}

/// The newest version that will do.
fn version(directory: &LookedAt, pyproject: &Table, seen: &mut Vec<String>) -> u32 {
    let minor = |text: &str| text.trim().strip_prefix("3.")?.split('.').next()?.trim().parse::<u32>().ok();
    if let Some(version) = directory.glance(".python-version").as_deref().and_then(minor) {
        seen.push(format!(".python-version: python 3.{version}"));
        return version;
    }
    let poetry = || pyproject.get("tool")?.get("poetry")?.get("dependencies")?.get("python")?.as_str();
    let asked = pyproject.get("project").and_then(|project| project.get("requires-python")?.as_str());
    let Some(asked) = asked.or_else(poetry) else { return VERSIONS[0] };
    seen.push(format!("pyproject.toml: python {asked}"));
    let is_met = |version: u32, wanted: &str| {
        let wanted = wanted.trim();
        let number = wanted.trim_start_matches(|c: char| !c.is_ascii_digit());
        let sign = wanted[..wanted.len() - number.len()].trim();
        let Some(limit) = minor(number.trim_end_matches(".*")) else {
            // Of major versions alone: below 4, from 3 on.
            return number.starts_with('3') || sign.starts_with('<');
        };
        // `~=3.9` is any newer one, and `~=3.9.1` is not.
        let is_whole = number.matches('.').count() < 2;
        match sign {
            ">=" | "^" => version >= limit,
            "~=" if is_whole => version >= limit,
            ">" => version > limit,
            "<=" => version <= limit,
            "<" => version < limit,
            "!=" => version != limit,
            _ => version == limit,
        }
    };
    VERSIONS.into_iter().find(|version| asked.split(',').all(|wanted| is_met(*version, wanted))).unwrap_or(VERSIONS[0])
}

/// The names of the packages that are needed.
fn needed(pyproject: &Table, requirements: &str, directory: &LookedAt) -> Vec<String> {
    let listed = pyproject.get("project").and_then(|project| project.get("dependencies")?.as_array());
    let listed = listed.into_iter().flatten().filter_map(|item| item.as_str());
    let table = |table: &Table| table.keys().cloned().collect::<Vec<_>>();
    let poetry = || pyproject.get("tool")?.get("poetry")?.get("dependencies")?.as_table().map(table);
    let pipfile = || directory.glance("Pipfile")?.parse::<Table>().ok()?.get("packages")?.as_table().map(table);
    let tables = poetry().into_iter().chain(pipfile()).flatten();
    let name = |text: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        text.trim().split(|c| !is_part(c)).next().unwrap_or_default().to_ascii_lowercase().replace('_', "-")
    };
    let all = listed.chain(requirements.lines()).map(name);
    all.chain(tables.map(|key| name(&key))).filter(|name| !name.is_empty()).collect()
}

/// What is run, and the port on which it then listens.
fn run(
    directory: &LookedAt,
    pyproject: &Table,
    needed: &[String],
    seen: &mut Vec<String>,
) -> Option<(Vec<String>, Option<u16>)> {
    let needs = |name: &str| needed.iter().any(|needed| needed == name);
    if let Some(text) = directory.glance("manage.py") {
        let settings = Regex::new(r#"DJANGO_SETTINGS_MODULE["'],\s*["']([A-Za-z0-9_]{1,60})\."#).ok()?;
        let project = settings.captures(&text).map(|found| found[1].to_owned());
        seen.push(format!(
            "manage.py: Django{}",
            project.iter().map(|name| format!(", the project {name}")).collect::<String>()
        ));
        return Some(match project.filter(|_| needs("gunicorn")) {
            Some(project) => (words(&format!("gunicorn --bind 0.0.0.0:8000 {project}.wsgi")), Some(8000)),
            None => (words("python manage.py runserver 0.0.0.0:8000"), Some(8000)),
        });
    }
    if let Some(found) = application(directory, &needs, seen) {
        return Some(found);
    }
    let scripts = pyproject.get("project").and_then(|project| project.get("scripts"));
    let scripts = scripts.or_else(|| pyproject.get("tool")?.get("poetry")?.get("scripts"));
    let scripts: Vec<&String> =
        scripts.and_then(|scripts| scripts.as_table()).into_iter().flat_map(Table::keys).collect();
    if let [script] = scripts[..]
        && is_plain(script)
    {
        seen.push(format!("pyproject.toml: the script {script}"));
        return Some((vec![script.clone()], None));
    }
    let packages = directory.names(".").into_iter().filter(|name| is_plain(name));
    let mut packages = packages.filter(|name| directory.has(&format!("{name}/__main__.py")));
    if let Some(file) = directory.first(&["main.py", "app.py", "server.py", "run.py", "__main__.py"]) {
        seen.push(format!("{file}: what is run"));
        return Some((words(&format!("python {file}")), None));
    }
    let package = packages.next()?;
    seen.push(format!("{package}/__main__.py: what is run"));
    Some((words(&format!("python -m {package}")), None))
}

/// The application of a web framework.
fn application(
    directory: &LookedAt,
    needs: &dyn Fn(&str) -> bool,
    seen: &mut Vec<String>,
) -> Option<(Vec<String>, Option<u16>)> {
    let pattern = Regex::new(APPLICATION).ok()?;
    let (file, name, framework) = USUAL_MODULES.iter().find_map(|file| {
        let text = directory.glance(file)?;
        let found = pattern.captures(&text)?;
        Some((file, found[1].to_owned(), found[2].to_owned()))
    })?;
    seen.push(format!("{file}: {name}, an application of {framework}"));
    let module = file.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
    let command = match &framework[..] {
        "Flask" if needs("gunicorn") => format!("gunicorn --bind 0.0.0.0:8000 {module}:{name}"),
        "Flask" => format!("flask --app {module}:{name} run --host 0.0.0.0 --port 8000"),
        _ => format!("uvicorn {module}:{name} --host 0.0.0.0 --port 8000"),
    };
    Some((words(&command), Some(8000)))
}

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}
