//! Secrets by reference: from the environment, from a file, from a command. Never in the project file, never printed.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Value, json};

use crate::diagnostics::nearest;
use crate::yaml;

/// No secret is longer; what is longer is the wrong file or the wrong command.
const MAX_BYTES: u64 = 64 * 1024;
/// How long a command may take: long enough for somebody to unlock a key ring.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// In an environment variable.
    Env(String),
    /// In a file, relative to the project's folder; a line break at its end does not belong to the secret.
    File(PathBuf),
    /// On the standard output of a program with its arguments, run in the project's folder without a shell.
    Command(Vec<String>),
}

/// Why a secret could not be read. No variant holds any part of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set or empty.
    #[error("the environment variable {name} is {state}. Set it to the secret before you run the command")]
    Env {
        /// Its name.
        name: String,
        /// `not set`, `empty` or `not UTF-8 text`.
        state: &'static str,
    },
    /// The file cannot be read.
    #[error("the secret's file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The program cannot be started, or its output not be read.
    #[error("the secret's command {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The program says that it failed.
    #[error("the secret's command {program} failed ({status}). Run it by hand to see why")]
    Failed {
        /// The program.
        program: String,
        /// Its exit status.
        status: std::process::ExitStatus,
    },
    /// The program does not end.
    #[error("the secret's command {program} did not end within {} seconds and was stopped", PATIENCE.as_secs())]
    Slow {
        /// The program.
        program: String,
    },
    /// What was found cannot be a secret.
    #[error("the secret from {origin} {fault}")]
    Unfit {
        /// The file or program.
        origin: String,
        /// What is wrong.
        fault: &'static str,
    },
}

impl SecretRef {
    /// Where the secret is kept, for people: `env:NAME`, `file:PATH`, or `command:PROGRAM` without the arguments, which can hold a secret.
    pub fn origin(&self) -> String {
        match self {
            SecretRef::Env(name) => format!("env:{name}"),
            SecretRef::File(path) => format!("file:{}", path.display()),
            SecretRef::Command(command) => format!("command:{}", command.first().map(String::as_str).unwrap_or_default()),
        }
    }

    /// Fetches the secret. May run a program and wait for it, up to a minute.
    ///
    /// # Errors
    ///
    /// The place that is referred to does not give one.
    pub fn resolve(&self, root: &Path) -> Result<SecretString, SecretError> {
        self.fetch(root, false)
    }

    /// Fetches a private key: as [`SecretRef::resolve`], but it has more than one line.
    ///
    /// # Errors
    ///
    /// The place that is referred to does not give one.
    pub fn resolve_key(&self, root: &Path) -> Result<SecretString, SecretError> {
        self.fetch(root, true)
    }

    fn fetch(&self, root: &Path, lines: bool) -> Result<SecretString, SecretError> {
        match self {
            SecretRef::Env(name) => {
                let fault = |state| SecretError::Env { name: name.clone(), state };
                match std::env::var(name) {
                    Ok(value) if value.is_empty() => Err(fault("empty")),
                    Ok(value) => Ok(SecretString::from(value)),
                    Err(std::env::VarError::NotPresent) => Err(fault("not set")),
                    Err(std::env::VarError::NotUnicode(_)) => Err(fault("not UTF-8 text")),
                }
            }
            SecretRef::File(path) => {
                let path = root.join(path);
                let io = |source| SecretError::File { path: path.clone(), source };
                let file = crate::disk::open_regular(&path).map_err(io)?;
                warn_if_open_to_all(&path, &file.metadata().map_err(io)?);
                let mut bytes = Vec::new();
                file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
                fit(bytes, path.display().to_string(), lines)
            }
            SecretRef::Command(command) => run(command, root, lines),
        }
    }
}

#[cfg(unix)]
fn warn_if_open_to_all(path: &Path, metadata: &std::fs::Metadata) {
    use std::os::unix::fs::PermissionsExt;
    if open_to_all(metadata.permissions().mode()) {
        tracing::warn!(path = %path.display(), "every user of this machine can read this secret; fix it with `chmod 600`");
    }
}

#[cfg(not(unix))]
fn warn_if_open_to_all(_: &Path, _: &std::fs::Metadata) {}

#[cfg(unix)]
fn open_to_all(mode: u32) -> bool {
    mode & 0o004 != 0
}

fn fit(bytes: Vec<u8>, origin: String, lines: bool) -> Result<SecretString, SecretError> {
    let unfit = |fault| SecretError::Unfit { origin: origin.clone(), fault };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unfit("is longer than any secret. Is it the right one?"));
    }
    // The error of the conversion holds the bytes, so it is let go here.
    let text = String::from_utf8(bytes).map_err(|_| unfit("is not UTF-8 text"))?;
    let secret = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    if secret.is_empty() {
        return Err(unfit("is empty"));
    }
    if !lines && secret.contains(['\n', '\r', '\0']) {
        return Err(unfit("has more than one line. Is it the right one?"));
    }
    Ok(SecretString::from(secret))
}

fn run(command: &[String], root: &Path, lines: bool) -> Result<SecretString, SecretError> {
    let program = command.first().cloned().unwrap_or_default();
    let start = |source| SecretError::Start { program: program.clone(), source };
    // Questions and complaints go to the person at the terminal; only the output is taken.
    let mut child = Command::new(&program)
        .args(command.iter().skip(1))
        .current_dir(root)
        .stdout(Stdio::piped())
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(start)?;
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(output) = output {
            let mut output = output.take(MAX_BYTES + 1);
            output.read_to_end(&mut bytes)?;
        }
        std::io::Result::Ok(bytes)
    });
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(start)? {
            break status;
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(SecretError::Slow { program });
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    if !status.success() {
        return Err(SecretError::Failed { program, status });
    }
    // A grandchild that keeps the pipe open must not hold the call up.
    while !reader.is_finished() {
        if begin.elapsed() > PATIENCE {
            return Err(SecretError::Slow { program });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let bytes = match reader.join() {
        Ok(read) => read.map_err(start)?,
        Err(_) => return Err(SecretError::Unfit { origin: program, fault: "could not be read" }),
    };
    fit(bytes, format!("the command {program}"), lines)
}

/// The three ways, for every error about them.
const WAYS: &str = "refer to it: `{ env: NAME }` for an environment variable, `{ file: PATH }` for a file that is not committed, or `{ command: [PROGRAM, ARGUMENT] }` for a password manager";

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretRef, D::Error> {
        deserializer.deserialize_any(Reference)
    }
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = |key: &str, what: Value| json!({ "type": "object", "properties": { key: what }, "required": [key], "additionalProperties": false });
        let text = |description: &str| json!({ "type": "string", "minLength": 1, "description": description });
        let mut env = text("The name of an environment variable.");
        env["pattern"] = json!("^[A-Za-z_][A-Za-z0-9_]*$");
        let file = text("A file, relative to this one.");
        let words = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
        let command = json!({ "anyOf": [words, { "type": "string", "pattern": "^\\S+$" }],
            "description": "A program and its arguments, run without a shell. It prints the secret." });
        json_schema!({
            "description": "Where a secret is kept. It is never in this file.",
            "oneOf": [one("env", env), one("file", file), one("command", command)],
        })
    }
}

struct Reference;

fn literal<E: de::Error>() -> E {
    yaml::custom("a secret must not be written in the project file", WAYS)
}

/// One program with arguments, or just the program.
struct Argv(Vec<String>);

impl<'de> Deserialize<'de> for Argv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Argv, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Argv;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a program with its arguments as a list")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Argv, E> {
                if text.contains(char::is_whitespace) {
                    return Err(yaml::custom(
                        "a command is run without a shell",
                        "write program and arguments as a list: `[pass, show, crm]`",
                    ));
                }
                Ok(Argv(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Argv, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = access.next_element::<String>()? {
                    words.push(word);
                }
                Ok(Argv(words))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Visitor<'de> for Reference {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reference to a secret")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<SecretRef, A::Error> {
        let mut found = None;
        while let Some(key) = access.next_key::<String>()? {
            let reference = match key.as_str() {
                "env" => {
                    let name: String = access.next_value()?;
                    let fits = |(n, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || n > 0 && c.is_ascii_digit();
                    if name.is_empty() || !name.chars().enumerate().all(fits) {
                        // Perhaps the secret itself: it is not repeated.
                        return Err(yaml::custom(
                            "this is not the name of an environment variable",
                            "a name has letters, digits and `_`: `{ env: CRM_SECRET }`",
                        ));
                    }
                    SecretRef::Env(name)
                }
                "file" => SecretRef::File(PathBuf::from(access.next_value::<String>()?)),
                "command" => {
                    let Argv(command) = access.next_value()?;
                    if command.first().is_none_or(String::is_empty) {
                        return Err(yaml::custom("the command has no program", "write `{ command: [PROGRAM, ARGUMENT] }`"));
                    }
                    SecretRef::Command(command)
                }
                other => {
                    let help = match nearest(other, ["env", "file", "command"]) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => WAYS.to_owned(),
                    };
                    access.next_value::<IgnoredAny>()?;
                    return Err(yaml::custom("a secret is referred to by `env`, `file` or `command`", help));
                }
            };
            if found.replace(reference).is_some() {
                return Err(yaml::custom("a secret has one place", "keep one of `env`, `file` and `command`"));
            }
        }
        found.ok_or_else(|| yaml::custom("the secret has no reference", WAYS))
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretRef, E> {
        Err(literal())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretRef, E> {
        Err(literal())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretRef, E> {
        Err(literal())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretRef, E> {
        Err(literal())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretRef, E> {
        Err(literal())
    }

    fn visit_unit<E: de::Error>(self) -> Result<SecretRef, E> {
        Err(yaml::custom("the secret has no reference", WAYS))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<SecretRef, A::Error> {
        Err(literal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn here() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_file_gives_its_line_without_the_break() {
        let folder = here();
        for text in ["s3cret", "s3cret\n", "s3cret\r\n"] {
            std::fs::write(folder.path().join("secret"), text).unwrap();
            assert_eq!(SecretRef::File("secret".into()).resolve(folder.path()).unwrap().expose_secret(), "s3cret");
        }
        for text in ["", "\n", "a\nb\n"] {
            std::fs::write(folder.path().join("secret"), text).unwrap();
            let error = SecretRef::File("secret".into()).resolve(folder.path()).unwrap_err();
            assert!(matches!(error, SecretError::Unfit { .. }), "{error}");
        }
        assert!(matches!(SecretRef::File("none".into()).resolve(folder.path()), Err(SecretError::File { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_gives_its_output_and_runs_in_the_projects_folder() {
        let folder = here();
        std::fs::write(folder.path().join("kept"), "s3cret\n").unwrap();
        let command = |words: &[&str]| SecretRef::Command(words.iter().map(|w| (*w).to_owned()).collect()).resolve(folder.path());
        assert_eq!(command(&["cat", "kept"]).unwrap().expose_secret(), "s3cret");
        assert!(matches!(command(&["false"]), Err(SecretError::Failed { .. })));
        assert!(matches!(command(&["true"]), Err(SecretError::Unfit { .. })));
        assert!(matches!(command(&["no-such-program-here"]), Err(SecretError::Start { .. })));
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = SecretRef::Env("D365MAP_TEST_NEVER_SET".into()).resolve(Path::new(".")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the environment variable D365MAP_TEST_NEVER_SET is not set. Set it to the secret before you run the command"
        );
    }

    #[cfg(unix)]
    #[test]
    fn just_a_file_that_everybody_can_read_is_warned_of() {
        assert!(open_to_all(0o100_644));
        assert!(!open_to_all(0o100_640));
        assert!(!open_to_all(0o100_600));
    }
}
