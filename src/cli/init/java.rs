//! Java: what Maven or Gradle packs into a jar that can be run.

use regex::Regex;

use super::draft::{Draft, RecipeForm};
use super::look::LookedAt;
use crate::error::{Error, Result};

/// What it goes by.
pub const MANIFESTS: [&str; 3] = ["pom.xml", "build.gradle.kts", "build.gradle"];

/// The versions with long-term support.
const VERSIONS: [u32; 5] = [8, 11, 17, 21, 25];

/// The version where nothing says one.
const USUAL_VERSION: u32 = 21;

/// What was seen of a project.
struct JavaProject {
    seen: Vec<String>,
    name: String,
    version: u32,
    is_maven: bool,
    /// The project brings the program that builds it.
    has_wrapper: bool,
    /// Why the jar may not be one that runs.
    left_open: Option<String>,
}

/// Returns a recipe: a Dockerfile that has the jar made, or a spec for one that was.
pub fn draft(directory: &LookedAt, form: Option<RecipeForm>) -> Result<Draft> {
    let project = JavaProject::look(directory)?;
    let form = form.unwrap_or(RecipeForm::Dockerfile);
    let (body, before) = match form {
        RecipeForm::Spec => (project.spec(), vec![project.package()]),
        RecipeForm::Dockerfile => (project.dockerfile(), Vec::new()),
    };
    Ok(Draft {
        title: "a Java program".to_owned(),
        name: project.name,
        form,
        seen: project.seen,
        body,
        ignored: &["target", "build", ".gradle"],
        before,
        left_open: project.left_open,
    })
}

impl JavaProject {
    fn look(directory: &LookedAt) -> Result<Self> {
        let file = directory
            .first(&MANIFESTS)
            .ok_or_else(|| Error::not_found(format!("there is none of {}", MANIFESTS.join(", "))))?;
        let is_maven = file == "pom.xml";
        let text = without_comments(&directory.text(file)?.unwrap_or_default(), is_maven);
        let (mut seen, found) = (Vec::new(), |pattern: &str| first(pattern, &text));
        let name = match is_maven {
            true => artifact(&text),
            false => ["settings.gradle.kts", "settings.gradle"].into_iter().find_map(|file| {
                first(r#"rootProject\.name\s*=\s*["']([^"'\n]{1,100})["']"#, &directory.glance(file)?)
            }),
        };
        let name = name.unwrap_or_else(|| directory.name());
        let asked = match is_maven {
            true => found(
                r"<(?:java\.version|maven\.compiler\.release|release|maven\.compiler\.target|maven\.compiler\.source)>\s*(?:1\.)?(\d{1,2})\s*<",
            ),
            false => found(
                r#"(?:JavaLanguageVersion\.of\(|jvmToolchain\(|(?:source|target)Compatibility\s*=?\s*(?:JavaVersion\.)?(?:VERSION_)?["']?(?:1[._])?)(\d{1,2})"#,
            ),
        };
        let asked = asked.and_then(|version| version.parse::<u32>().ok());
        let version =
            VERSIONS.into_iter().find(|version| Some(*version) >= asked && asked.is_some()).unwrap_or(USUAL_VERSION);
        seen.push(format!("{file}: {name}{}", asked.map(|version| format!(", Java {version}")).unwrap_or_default()));
        let runs = match is_maven {
            true => {
                text.contains("spring-boot-maven-plugin")
                    || text.contains("<mainClass>")
                    || text.contains("quarkus-maven-plugin")
            }
            false => {
                text.contains("org.springframework.boot") || text.contains("Main-Class") || text.contains("shadow")
            }
        };
        let wrapper = if is_maven { "mvnw" } else { "gradlew" };
        let has_wrapper = directory.has(wrapper);
        if has_wrapper {
            seen.push(format!("{wrapper}: the program that builds it"));
        }
        let left_open =
            (!runs).then(|| format!("{file} names no main class, without which `java -jar` cannot run the jar"));
        Ok(JavaProject { seen, name, version, is_maven, has_wrapper, left_open })
    }

    /// The words that make the jar.
    fn package(&self) -> String {
        let program = match (self.is_maven, self.has_wrapper) {
            (true, true) => "./mvnw",
            (true, false) => "mvn",
            (false, true) => "./gradlew",
            (false, false) => "gradle",
        };
        match self.is_maven {
            true => format!("{program} --batch-mode -DskipTests package"),
            false => format!("{program} --no-daemon assemble"),
        }
    }

    /// Where the jar is made.
    fn place(&self) -> &'static str {
        if self.is_maven { "target" } else { "build/libs" }
    }

    fn spec(&self) -> String {
        let (version, place, package) = (self.version, self.place(), self.package());
        format!(
            "# The jar is made first:\n#\n#   {package}\n#\n\
             # For another platform than this machine's, or several, say so here:\n\
             # platforms = [\"linux/amd64\", \"linux/arm64\"]\n\n\
             base = \"eclipse-temurin:{version}-jre\"\n\n\
             [[layer]]\n\
             add = [{{ from = \"{place}/*.jar\", to = \"/app/app.jar\", mode = \"0644\" }}]\n\n\
             [config]\n\
             entrypoint = [\"java\", \"-jar\", \"/app/app.jar\"]\n\
             user = \"65532:65532\"\n"
        )
    }

    fn dockerfile(&self) -> String {
        let (version, place, package) = (self.version, self.place(), self.package());
        let (base, cache) = match (self.is_maven, self.has_wrapper) {
            (true, false) => (format!("maven:3-eclipse-temurin-{version}"), "/root/.m2"),
            (true, true) => (format!("eclipse-temurin:{version}-jdk"), "/root/.m2"),
            (false, false) => (format!("gradle:jdk{version}"), "/home/gradle/.gradle"),
            (false, true) => (format!("eclipse-temurin:{version}-jdk"), "/root/.gradle"),
        };
        format!(
            "FROM {base} AS build\n\
             WORKDIR /src\n\
             COPY . .\n\
             # The jar that is left is the one that runs: not that of sources, documentation or classes alone.\n\
             RUN --mount=type=cache,target={cache} \\\n    \
                 {package} && \\\n    \
                 rm -f {place}/*-sources.jar {place}/*-javadoc.jar {place}/*-plain.jar {place}/original-*.jar && \\\n    \
                 mkdir /out && cp {place}/*.jar /out/app.jar\n\n\
             FROM eclipse-temurin:{version}-jre\n\
             WORKDIR /app\n\
             COPY --from=build /out/app.jar ./\n\
             USER 65532:65532\n\
             EXPOSE 8080\n\
             ENTRYPOINT [\"java\", \"-jar\", \"/app/app.jar\"]\n"
        )
    }
}

/// The artifact of a project itself: not that of what it inherits from or depends on.
fn artifact(pom: &str) -> Option<String> {
    let mut own = pom.to_owned();
    for part in ["parent", "dependencies", "dependencyManagement", "build", "profiles"] {
        while let Some(start) = own.find(&format!("<{part}>")) {
            let close = format!("</{part}>");
            let end = own[start..].find(&close).map_or(own.len(), |end| start + end + close.len());
            own.replace_range(start..end, "");
        }
    }
    first(r"<artifactId>\s*([^<\s]{1,100})\s*</artifactId>", &own)
}

fn without_comments(text: &str, is_xml: bool) -> String {
    let pattern = if is_xml { r"(?s)<!--.*?-->" } else { r"(?s:/\*.*?\*/)|(?m:(?:^|\s)//.*$)" };
    Regex::new(pattern).map_or_else(|_| text.to_owned(), |pattern| pattern.replace_all(text, "").into_owned())
}

/// What the group of `pattern` finds first.
fn first(pattern: &str, text: &str) -> Option<String> {
    Some(Regex::new(pattern).ok()?.captures(text)?.get(1)?.as_str().to_owned())
}
