//! `--server`: commands that ask a `d365map serve` in place of the state on this machine, by its API.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::Global;
use crate::app::{CommandError, ErrorKind};
use crate::connect::{Unreachable, Why};
use crate::disk;
use crate::serve::{ProblemDocument, ProjectsDocument};

/// The environment variable with the token.
const VARIABLE: &str = "D365MAP_TOKEN";
/// The largest file of a token.
const MOST: u64 = 64 * 1024;
/// How long an answer is waited for. A replay counts records in the source first.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server that a command asks.
#[derive(Clone, Debug, clap::Args)]
pub struct Server {
    /// Ask the `d365map serve` at this address in place of the state on this machine. With several projects there, `--project` names one.
    /// The token of an API client is read from --token-file, or from the environment variable D365MAP_TOKEN.
    #[arg(long, global = true, value_name = "URL")]
    server: Option<Url>,
    /// The file with the token for --server.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A project of a server.
pub struct Remote {
    client: reqwest::Client,
    /// The address of the API, with a slash at its end.
    base: Url,
    /// The address of the project in the API, with a slash at its end.
    project: Url,
    token: SecretString,
}

impl Server {
    /// The project of the server, if one is to be asked.
    ///
    /// # Errors
    /// The address or the token cannot be used, the server does not answer, or it is not clear which project is meant.
    pub async fn project(&self, global: &Global) -> Result<Option<Remote>, CommandError> {
        let Some(server) = &self.server else {
            return match &self.token_file {
                Some(_) => Err(CommandError::usage("`--token-file` is for `--server`, which is missing")),
                None => Ok(None),
            };
        };
        let base = base(server)?;
        let token = self.token()?;
        let client = reqwest::Client::builder().redirect(redirect::Policy::none()).timeout(PATIENCE);
        // What is on this machine is never reached through a proxy, which would see the token.
        let client = if is_here(server) { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| CommandError::new(ErrorKind::Bug, error))?;
        let mut remote = Remote { client, project: base.clone(), base, token };
        let found: ProjectsDocument = remote.asked(remote.request(Method::GET, remote.base_of("projects")?)).await?;
        let names: Vec<&str> = found.projects.iter().map(|project| project.name.as_str()).collect();
        let given = global.project.as_ref().map(|project| project.to_string_lossy());
        let name = match (&given, names.as_slice()) {
            (Some(name), names) if names.contains(&&**name) => &**name,
            (None, [only]) => only,
            (Some(name), names) => return Err(CommandError::usage(format!("the server has no project `{name}`; it has {}", list(names)))),
            (None, names) => {
                return Err(CommandError::usage(format!("say which project: `--project NAME`; the server has {}", list(names))));
            }
        };
        remote.project = remote.base_of(&format!("projects/{name}/"))?;
        Ok(Some(remote))
    }

    /// The token. Never an argument: other users of a machine can see those.
    fn token(&self) -> Result<SecretString, CommandError> {
        let text = match &self.token_file {
            Some(path) => {
                let bytes = disk::read_private(path, MOST).map_err(|error| CommandError::file(path.display(), error))?;
                String::from_utf8(bytes).map_err(|_| CommandError::file(path.display(), "the file is not UTF-8 text"))?
            }
            None => std::env::var(VARIABLE).unwrap_or_default(),
        };
        let token = text.trim();
        if token.is_empty() {
            let error = CommandError::usage("`--server` needs the token of an API client");
            return Err(error.hint(format!(
                "set {VARIABLE}, or name a file with `--token-file`; the clients are in `serve: clients:` of the server's project file"
            )));
        }
        Ok(SecretString::from(token.to_owned()))
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Whether an address leads to this machine.
fn is_here(server: &Url) -> bool {
    match server.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The address of the API. The token and the answers must not cross a network unencrypted.
fn base(server: &Url) -> Result<Url, CommandError> {
    match server.scheme() {
        "https" => {}
        "http" if is_here(server) => {}
        "http" => {
            let error = CommandError::usage(format!("{server} is not encrypted, and the token could be read on the way"));
            return Err(error.hint("use https, or an SSH tunnel to the loopback address of the server"));
        }
        _ => {
            let error = CommandError::usage(format!("{server} is not the address of a server"));
            return Err(error.hint("write https://HOST or http://127.0.0.1:8070"));
        }
    }
    server.join("/api/v1/").map_err(CommandError::usage)
}

impl Remote {
    fn base_of(&self, path: &str) -> Result<Url, CommandError> {
        self.base.join(path).map_err(CommandError::usage)
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url).bearer_auth(self.token.expose_secret()).header(ACCEPT, "application/json")
    }

    /// The address of something of the project. Each part is one segment, whatever is in it.
    fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.project.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(parts);
        }
        url
    }

    /// Reads a document of the project.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn get<T: DeserializeOwned>(&self, parts: &[&str], query: &[(&str, String)]) -> Result<T, CommandError> {
        self.asked(self.request(Method::GET, self.url(parts)).query(query)).await
    }

    /// Does something with the project.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn post<T: DeserializeOwned>(&self, parts: &[&str], body: &impl Serialize) -> Result<T, CommandError> {
        self.asked(self.request(Method::POST, self.url(parts)).json(body)).await
    }

    async fn asked<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CommandError> {
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(error))?;
        if status.is_success() && kind.starts_with("application/json") {
            return serde_json::from_slice(&bytes).map_err(|error| self.stranger(&format!("its answer cannot be read: {error}")));
        }
        match serde_json::from_slice::<ProblemDocument>(&bytes) {
            Ok(problem) if kind.starts_with("application/problem+json") => Err(refused(status, problem)),
            _ => Err(self.stranger(&format!("it answers with HTTP {}", status.as_u16()))),
        }
    }

    fn host(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// What answers is probably something else.
    fn stranger(&self, why: &str) -> CommandError {
        let error = CommandError::new(ErrorKind::Service, format!("{} is not a `d365map serve` of this version: {why}", self.host()));
        error.hint("check the address of `--server`; a proxy in front must pass /api/ on")
    }

    fn unreachable(&self, error: reqwest::Error) -> CommandError {
        let host = self.host();
        let Unreachable { why, message } = Unreachable::of(error);
        let (problem, fix) = match why {
            Why::NoSuchHost => (format!("there is no host of the name in {host}"), "check the address of `--server`"),
            Why::Refused => (format!("nothing listens at {host}"), "check the port, and that `d365map serve` runs there"),
            Why::Slow => (format!("{host} did not answer in time"), "try again; `/healthz` of the server says whether it runs"),
            Why::Untrusted => (
                format!("this machine does not trust the certificate of {host}"),
                "put the root certificate into the system's trust store, or name its file in SSL_CERT_FILE",
            ),
            Why::Expired | Why::NotYetValid => {
                (format!("the certificate of {host} is not valid now"), "check this machine's clock; if it is right, renew the certificate")
            }
            Why::WrongName(_) => {
                (format!("the certificate of {host} is for another host name"), "use the name that the certificate is for")
            }
            Why::NotTls => (format!("{host} does not speak TLS"), "check the port, and whether the server has `serve: tls:`"),
            Why::Proxy | Why::ProxyLogin => {
                (format!("the proxy does not connect to {host}"), "name the host in NO_PROXY if it is reached directly")
            }
            Why::Revoked | Why::Other => {
                (format!("{host} cannot be reached: {message}"), "check the address, and that `d365map serve` runs there")
            }
        };
        CommandError::new(ErrorKind::Service, problem).hint(fix)
    }
}

/// The error for a request that the server refuses.
fn refused(status: StatusCode, problem: ProblemDocument) -> CommandError {
    let kind = match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::BAD_REQUEST
        | StatusCode::NOT_FOUND
        | StatusCode::MISDIRECTED_REQUEST => ErrorKind::Usage,
        StatusCode::CONFLICT => ErrorKind::Findings,
        _ => ErrorKind::Service,
    };
    let error = problem.hints.into_iter().fold(CommandError::new(kind, problem.detail), CommandError::hint);
    match status {
        StatusCode::UNAUTHORIZED => error.hint(format!(
            "the token in `--token-file` or {VARIABLE} must be that of a client in `serve: clients:` of the server's project file; the server reads it when it starts"
        )),
        StatusCode::FORBIDDEN => error.hint("use the token of a client with that role"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_to_https_and_to_this_machine_only() {
        for address in ["https://sync.contoso.com", "http://127.0.0.1:8070", "http://localhost:8070/", "http://[::1]:8070"] {
            let base = base(&address.parse().unwrap()).unwrap();
            assert!(base.as_str().ends_with("/api/v1/"), "{base}");
        }
        for address in ["http://sync.contoso.com", "http://10.0.0.7:8070", "ftp://localhost/", "file:///tmp/x"] {
            assert!(base(&address.parse().unwrap()).is_err(), "{address}");
        }
    }

    #[test]
    fn a_name_is_one_segment_of_an_address() {
        let base: Url = "https://h/api/v1/".parse().unwrap();
        let token = SecretString::from("t".to_owned());
        let remote = Remote { client: reqwest::Client::new(), project: base.join("projects/p/").unwrap(), base, token };
        assert_eq!(remote.url(&["workflows", "../x?y", "start"]).as_str(), "https://h/api/v1/projects/p/workflows/..%2Fx%3Fy/start");
    }
}
