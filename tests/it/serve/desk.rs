//! A project without services, the server on a free port, and a person who is signed in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use d365map::run::Clock;
use d365map::serve::access::{Access, AccessConfig};
use d365map::serve::{Served, Site, answer_requests};
use reqwest::{Client, Method, StatusCode};
use tokio_util::sync::CancellationToken;

/// The name of the project in addresses.
pub const NAME: &str = "contoso";

/// A person with a browser, without its script.
pub struct Desk {
    folder: tempfile::TempDir,
    address: SocketAddr,
    client: Client,
    cookie: String,
    pub csrf: String,
    _stop: tokio_util::sync::DropGuard,
}

/// An answer.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub location: String,
    pub body: String,
}

impl Page {
    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self.body.split_once(&start).unwrap_or_else(|| panic!("{name} is not in {}", self.body)).1;
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn has(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.body.contains(text), "`{text}` is not in {}\n{}", self.status, self.body);
        }
    }

    #[track_caller]
    pub fn lacks(&self, texts: &[&str]) {
        for text in texts {
            assert!(!self.body.contains(text), "`{text}` is in\n{}", self.body);
        }
    }
}

impl Desk {
    /// A project with these lines in its project file and these files.
    pub async fn of(settings: &str, files: &[(&str, &str)]) -> Desk {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join(NAME);
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        write("d365map.yaml", &format!("version: 1\n{settings}"));
        for (name, text) in files {
            write(name, text);
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let access = Access::new(AccessConfig::local(address, Clock::default())).expect("a safe configuration");
        let projects = Served::load(&[root]).expect("a project");
        let stop = CancellationToken::new();
        let site = Arc::new(Site { projects, access, metrics: Arc::default(), stop: stop.clone() });
        tokio::spawn(answer_requests(listener, site.clone()));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("a client");
        let link = site.access.link(address.port());
        let answer = client.get(&link).send().await.expect("an answer");
        let cookie = answer.headers().get("set-cookie").and_then(|value| value.to_str().ok()).expect("a cookie");
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let mut desk = Desk { folder, address, client, cookie, csrf: String::new(), _stop: stop.drop_guard() };
        desk.csrf = desk.get("/settings").await.field("csrf");
        desk
    }

    /// The path of a file of the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(NAME).join(name)
    }

    /// The text of a file of the project.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    async fn send(&self, method: Method, path: &str, body: Option<String>) -> Page {
        let path = if path.starts_with("/explain") { path.to_owned() } else { format!("/p/{NAME}{path}") };
        let mut request = self.client.request(method, format!("http://{}{path}", self.address)).header("cookie", &self.cookie);
        if let Some(body) = body {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let answer = request.send().await.expect("an answer");
        let location = answer.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        Page { status: answer.status(), location, body: answer.text().await.expect("a text") }
    }

    /// A page of the project, or of codes.
    pub async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, None).await
    }

    /// A form of a page; without the token of the session.
    pub async fn post_bare(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(Method::POST, path, Some(body)).await
    }

    /// A form of a page.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let form = [form, &[("csrf", self.csrf.as_str())]].concat();
        self.post_bare(path, &form).await
    }
}
