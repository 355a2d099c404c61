//! People with a browser and a role.

use std::time::{Duration, Instant};

use d365map::serve::access::Role;
use reqwest::Method;

use super::support::{Answer, NAME, Serving};

/// Somebody who has signed in.
pub struct Person<'s> {
    serving: &'s Serving,
    cookie: String,
    csrf: String,
}

impl Serving {
    /// Somebody with a role, who has signed in.
    pub fn person(&self, role: Role) -> Person<'_> {
        let (cookie, csrf) = self.site.access.session(role.name(), role);
        Person { serving: self, cookie, csrf }
    }
}

impl Serving {
    /// Runs a command in the project's folder, as a separate process. Returns its standard output.
    pub async fn command(&self, args: &[&str]) -> String {
        let output = self.world.command(args).current_dir(self.folder()).output().await.expect("the command runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// The address of a page of the project.
pub fn at(path: &str) -> String {
    format!("/p/{NAME}{path}")
}

impl Person<'_> {
    /// Opens a page of the project.
    pub async fn open(&self, path: &str) -> Answer {
        self.serving.send(Method::GET, &at(path), &[("cookie", &self.cookie)], "").await
    }

    /// Opens a page of the project that must be there.
    pub async fn see(&self, path: &str) -> String {
        let answer = self.open(path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Sends a form of a page of the project.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &self.csrf).extend_pairs(fields);
        let headers = [("cookie", &*self.cookie), ("content-type", "application/x-www-form-urlencoded")];
        self.serving.send(Method::POST, &at(path), &headers, form.finish()).await
    }

    /// Opens a page until it has a text.
    pub async fn wait(&self, path: &str, text: &str) -> String {
        let began = Instant::now();
        loop {
            let page = self.see(path).await;
            if page.contains(text) {
                return page;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "`{text}` never comes up: {page}");
            tokio::task::yield_now().await;
        }
    }
}
