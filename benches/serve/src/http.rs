//! One connection to the server, as a browser keeps it open.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Result;

/// A connection that is kept open.
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    cookie: String,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Connection {
    pub fn open(host: &str, cookie: &str) -> Result<Connection> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Connection { stream: BufReader::new(stream), host: host.to_owned(), cookie: cookie.to_owned() })
    }

    /// Sends a request without waiting for the answer: for a stream of events.
    pub fn send(&mut self, path: &str) -> Result<()> {
        let cookie = if self.cookie.is_empty() { String::new() } else { format!("Cookie: {}\r\n", self.cookie) };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{cookie}\r\n", self.host);
        Ok(self.stream.get_mut().write_all(request.as_bytes())?)
    }

    /// The status and the headers of an answer.
    pub fn head(&mut self) -> Result<(u16, Vec<String>)> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the server has closed the connection".into());
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let status = lines.first().and_then(|line| line.split(' ').nth(1)).ok_or("not an answer")?.parse()?;
        Ok((status, lines))
    }

    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(path)?;
        let (status, headers) = self.head()?;
        let length = header(&headers, "content-length").map_or(Ok(0), str::parse::<usize>)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, headers, body })
    }
}

/// The value of a header.
pub fn header<'h>(headers: &'h [String], name: &str) -> Option<&'h str> {
    headers
        .iter()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
