//! Go programs: the main packages of a module.

use super::draft::{Draft, RecipeForm};
use super::look::LookedAt;
use super::program::{Program, chosen};
use super::quote::{is_plain, plain};
use crate::error::{Error, Result};
use crate::oci::Platform;

/// What it goes by.
pub const MANIFEST: &str = "go.mod";

/// So many files of a package are asked what package they are of.
const FILES_ASKED: usize = 20;

/// What was seen of a module.
struct GoProject {
    seen: Vec<String>,
    program: Program,
    /// The version of Go, as images have it: `1.22`.
    version: Option<String>,
    /// `go.sum` is there.
    has_sums: bool,
}

/// Returns a recipe for the program `wanted`, or the one that is there. Fails if it is not clear which.
pub fn draft(directory: &LookedAt, form: Option<RecipeForm>, wanted: Option<&str>) -> Result<Draft> {
    let project = GoProject::look(directory, wanted)?;
    let form = form.unwrap_or(RecipeForm::Spec);
    let (body, before) = match form {
        RecipeForm::Spec => (project.spec(), vec![project.compile()]),
        RecipeForm::Dockerfile => (project.dockerfile(), Vec::new()),
    };
    let (name, seen) = (project.program.name, project.seen);
    Ok(Draft { title: "a Go program".to_owned(), name, form, seen, body, ignored: &["dist"], before, left_open: None })
}

impl GoProject {
    fn look(directory: &LookedAt, wanted: Option<&str>) -> Result<Self> {
        let text = directory.text(MANIFEST)?.ok_or_else(|| Error::not_found(format!("there is no {MANIFEST}")))?;
        let module = directive(&text, "module").unwrap_or_default().trim_matches('"').to_owned();
        let version = directive(&text, "toolchain").and_then(|name| name.strip_prefix("go")).or(directive(&text, "go"));
        let told = version.map(|version| format!(", go {version}")).unwrap_or_default();
        let mut seen = vec![format!("{MANIFEST}: the module {module}{told}")];
        let name = plain(module_name(&module), MANIFEST, "the last part of its module")?;
        let mut programs = Vec::new();
        if is_main(directory, ".") {
            seen.push(format!("the directory itself: the program {name}"));
            programs.push(Program { name: name.clone(), package: None, path: ".".to_owned() });
        }
        for below in directory.names("cmd").into_iter().filter(|below| is_plain(below)) {
            if is_main(directory, &format!("cmd/{below}")) {
                seen.push(format!("cmd/{below}: the program {below}"));
                programs.push(Program { path: format!("./cmd/{below}"), name: below, package: None });
            }
        }
        let program = chosen(programs, wanted, Some(&name), MANIFEST)?;
        Ok(GoProject { seen, program, version: version.and_then(minor), has_sums: directory.has("go.sum") })
    }

    fn compile(&self) -> String {
        let Program { name, path, .. } = &self.program;
        let Platform { os, architecture, .. } = Platform::host();
        format!(
            "CGO_ENABLED=0 GOOS={os} GOARCH={architecture} go build -trimpath -o dist/{os}-{architecture}/{name} {path}"
        )
    }

    fn spec(&self) -> String {
        let (name, compile) = (&self.program.name, self.compile());
        format!(
            "# The program is compiled first, for each platform that the image is to have:\n#\n#   {compile}\n#\n\
             # {{os}} and {{arch}} are the platform's. For another one than this machine's, or several, say so here:\n\
             # platforms = [\"linux/amd64\", \"linux/arm64\"]\n\n\
             # Nothing but the program. With certificates and time zones: \"gcr.io/distroless/static-debian12\".\n\
             base = \"scratch\"\n\n\
             [[layer]]\n\
             add = [{{ from = \"dist/{{os}}-{{arch}}/{name}\", to = \"/usr/bin/\", mode = \"0755\" }}]\n\n\
             [config]\n\
             entrypoint = [\"/usr/bin/{name}\"]\n\
             user = \"65532:65532\"\n"
        )
    }

    fn dockerfile(&self) -> String {
        let Program { name, path, .. } = &self.program;
        let version = self.version.as_deref().unwrap_or("1");
        let sums = if self.has_sums { " go.sum" } else { "" };
        format!(
            "# It compiles for any platform on this machine's.\n\
             FROM --platform=$BUILDPLATFORM golang:{version}-alpine AS build\n\
             WORKDIR /src\n\
             COPY go.mod{sums} ./\n\
             RUN --mount=type=cache,target=/go/pkg/mod go mod download\n\
             COPY . .\n\
             ARG TARGETOS TARGETARCH\n\
             RUN --mount=type=cache,target=/go/pkg/mod \\\n    \
                 --mount=type=cache,target=/root/.cache/go-build \\\n    \
                 CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -o /out/{name} {path}\n\n\
             FROM scratch\n\
             COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/\n\
             COPY --from=build /out/{name} /usr/bin/\n\
             USER 65532:65532\n\
             ENTRYPOINT [\"/usr/bin/{name}\"]\n"
        )
    }
}

/// What stands behind the word `name` at the beginning of a line.
fn directive<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = |line: &'a str| line.trim_start().strip_prefix(name)?.strip_prefix([' ', '\t']);
    text.lines().find_map(rest).and_then(|rest| rest.split_whitespace().next())
}

/// The last part of a module's path that is no version, by which `go build` calls the program.
fn module_name(module: &str) -> &str {
    let is_version = |part: &&str| part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    module.rsplit('/').find(|part| !is_version(part)).unwrap_or_default()
}

/// `1.22` of `1.22.3`.
fn minor(version: &str) -> Option<String> {
    let mut parts = version.split('.');
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
    Some(format!("{}.{}", number()?, number()?))
}

fn is_main(directory: &LookedAt, path: &str) -> bool {
    let is_of_program =
        |name: &String| name.ends_with(".go") && !name.ends_with("_test.go") && !name.starts_with(['_', '.']);
    let texts = directory.names(path).into_iter().filter(is_of_program).take(FILES_ASKED);
    let mut texts = texts.filter_map(|name| directory.glance(&format!("{path}/{name}")));
    texts.any(|text| {
        // A file that `go build` leaves out tells nothing.
        let is_left_out = text.lines().any(|line| line.trim() == "//go:build ignore");
        !is_left_out && directive(&text, "package") == Some("main")
    })
}
