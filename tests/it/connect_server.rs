//! A small HTTP server for the connectors' tests: answers by a function, and keeps what it was sent.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query, undecoded.
    pub target: String,
    pub headers: HeaderMap,
    pub body: String,
    pub at: Instant,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    pub fn is_token(&self) -> bool {
        self.target == "/token"
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    pub after: Duration,
}

impl Reply {
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![("content-type", "application/json; odata.metadata=minimal".to_owned())];
        Self { status, headers, body: Bytes::from(body.into()), after: Duration::ZERO }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), after: Duration::ZERO }
    }

    pub fn html(status: u16) -> Self {
        Self {
            headers: vec![("content-type", "text/html".to_owned())],
            body: Bytes::from_static(b"<!DOCTYPE html><html>Sign in</html>"),
            ..Self::empty(status)
        }
    }

    /// A token that names its number.
    pub fn token(number: usize, expires_in: u64) -> Self {
        Self::json(200, format!(r#"{{"token_type":"Bearer","expires_in":{expires_in},"access_token":"t{number}"}}"#))
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn after(mut self, wait: Duration) -> Self {
        self.after = wait;
        self
    }
}

/// A running server; ends with the test's runtime.
pub struct Server {
    pub url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Starts a server on a free loopback port. `answer` is given the request and how many of its kind (token, other) came
    /// up to it, from 1.
    pub async fn start(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let request = Seen {
                    method: parts.method.to_string(),
                    target: parts.uri.path_and_query().unwrap().to_string(),
                    headers: parts.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                    at: Instant::now(),
                };
                let number = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(request.clone());
                    kept.iter().filter(|s| s.is_token() == request.is_token()).count()
                };
                let reply = answer(&request, number);
                tokio::time::sleep(reply.after).await;
                // As services have it: no two answers are alike.
                let mut response = Response::builder().status(reply.status).header("x-request-number", number);
                for (name, value) in reply.headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(reply.body)).unwrap()
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, seen }
    }

    /// A server that hands out tokens for an hour and answers the rest by `answer`.
    pub async fn with_tokens(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |seen, n| if seen.is_token() { Reply::token(n, 3600) } else { answer(seen, n) }).await
    }

    pub fn token_url(&self) -> Url {
        self.url.join("token").unwrap()
    }

    /// The requests for tokens so far.
    pub fn tokens(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|s| s.is_token()).cloned().collect()
    }

    /// The other requests so far.
    pub fn calls(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|s| !s.is_token()).cloned().collect()
    }
}

/// A server below HTTP: reads each request whole, then writes `answer` unchanged and closes the connection.
/// An empty answer is a lost one. Gives the address and the count of requests.
pub async fn raw_server(answer: &'static str) -> (Url, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            while !complete(&request) {
                match stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => request.extend_from_slice(&chunk[..n]),
                }
            }
            if complete(&request) {
                *counted.lock().unwrap() += 1;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    (url, count)
}

/// A server below HTTP that keeps its connections open: `answer` gives the bytes for a request by the numbers of the connection and
/// of the request on it, from 0. Gives the address and the numbers of the requests that came.
pub async fn scripted_server(answer: impl Fn(usize, usize) -> String + Send + Sync + 'static) -> (Url, Arc<Mutex<Vec<(usize, usize)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    let (kept, answer) = (Arc::clone(&served), Arc::new(answer));
    tokio::spawn(async move {
        for connection in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
            tokio::spawn(async move {
                let mut chunk = [0; 4096];
                for request in 0.. {
                    let mut bytes = Vec::new();
                    while !complete(&bytes) {
                        match stream.read(&mut chunk).await {
                            Ok(0) | Err(_) => return,
                            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
                        }
                    }
                    kept.lock().unwrap().push((connection, request));
                    if stream.write_all(answer(connection, request).as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, served)
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").and_then(|v| v.trim().parse().ok()));
    body.len() >= length.unwrap_or(0)
}

/// An address where nothing listens.
pub async fn closed_port() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
}

/// Runs `count` calls at once and gives their results.
pub async fn at_once<F: Future<Output = T> + Send + 'static, T: Send + 'static>(count: usize, call: impl Fn() -> F) -> Vec<T> {
    let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(call())).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}
