//! A client that speaks to the server over its standard streams, as an editor does.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The longest wait for one answer; a server that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Client {
    process: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    next: i64,
    /// What came before it was asked for.
    waiting: VecDeque<Value>,
}

impl Client {
    /// Starts a server and says hello.
    pub fn start(folder: &Path, encodings: &[&str]) -> Client {
        let mut process = Command::new(env!("CARGO_BIN_EXE_d365map"))
            .arg("lsp")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command runs");
        let input = process.stdin.take();
        let output = process.stdout.take().expect("a pipe");
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut client = Client { process, input, messages, next: 0, waiting: VecDeque::new() };
        let answer = client.request(
            "initialize",
            json!({ "processId": null, "rootUri": null, "capabilities": { "general": { "positionEncodings": encodings } } }),
        );
        assert_eq!(answer["serverInfo"]["name"], "d365map");
        client.notify("initialized", json!({}));
        client
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("an open pipe");
        input.write_all(bytes).and_then(|()| input.flush()).expect("the server listens");
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.write(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn next_message(&mut self) -> Value {
        match self.messages.recv_timeout(PATIENCE) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => panic!("the server does not answer"),
            Err(RecvTimeoutError::Disconnected) => panic!("the server is gone"),
        }
    }

    /// The whole answer to a request, result or error.
    pub fn answer(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.next_message();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
            self.waiting.push_back(message);
        }
    }

    /// The result of a request that succeeds.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub fn open(&mut self, uri: &str, text: &str) {
        self.notify("textDocument/didOpen", json!({ "textDocument": { "uri": uri, "languageId": "d365map", "version": 1, "text": text } }));
    }

    /// Replaces the whole text.
    pub fn change(&mut self, uri: &str, text: &str) {
        self.notify(
            "textDocument/didChange",
            json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [{ "text": text }] }),
        );
    }

    /// The findings of a document that come next.
    pub fn findings(&mut self, uri: &str) -> Value {
        let start = Instant::now();
        loop {
            let message = self.waiting.pop_front().unwrap_or_else(|| self.next_message());
            if message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri {
                return message["params"]["diagnostics"].clone();
            }
            assert!(start.elapsed() < PATIENCE, "no findings come");
        }
    }

    /// The findings after everything that was sent has been worked off.
    pub fn settled(&mut self, uri: &str) -> Value {
        // An answer comes only after the findings of what was sent before it.
        self.request("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }));
        let mut last = None;
        while let Some(message) = self.waiting.pop_front() {
            if message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri {
                last = Some(message["params"]["diagnostics"].clone());
            }
        }
        last.expect("findings were sent")
    }

    /// Says goodbye; the exit status.
    pub fn stop(mut self) -> i32 {
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        self.process.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// Closes the stream without a message; returns the exit status.
    pub fn vanish(mut self) -> i32 {
        self.input = None;
        self.process.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim() {
            "" => break,
            header => {
                if let Some(value) = header.strip_prefix("Content-Length: ") {
                    length = value.parse().ok()?;
                }
            }
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
