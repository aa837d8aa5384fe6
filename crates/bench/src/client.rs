//! A client of HTTP/1.1 that costs little itself: one connection that is kept, one request after another.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long the service may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
const CHUNK: usize = 64 << 10;

/// A connection to the service.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What was received.
    buffer: Vec<u8>,
    /// How much of it is an answer that was taken.
    taken: usize,
    /// How much of it is filled.
    filled: usize,
}

/// The bytes of a POST.
pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// The bytes of a GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

impl Connection {
    pub(crate) fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        stream.set_read_timeout(Some(PATIENCE)).context("set a time-out")?;
        Ok(Self { stream, buffer: vec![0; CHUNK], taken: 0, filled: 0 })
    }

    /// Send a request and take its answer, which must be of status 200.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.send(request)?;
        self.receive()
    }

    /// Send a request; its answer is to be received.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).context("send a request")
    }

    /// The body of the next answer.
    pub(crate) fn receive(&mut self) -> Result<&[u8]> {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        let head = loop {
            match find(&self.buffer[..self.filled], b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.fill()?,
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head]).context("a head that is no text")?;
        let succeeded = text.starts_with("HTTP/1.1 200");
        let lengths = text.lines().filter_map(|line| line.split_once(':'));
        let length = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length.map(|(_, length)| length.trim()).next().context("an answer without a length")?;
        let end = head + length.parse::<usize>().context("a length that is no number")?;
        while self.filled < end {
            self.fill()?;
        }
        self.taken = end;
        let body = &self.buffer[head..end];
        if !succeeded {
            bail!("the service answered {}", String::from_utf8_lossy(&self.buffer[..end]));
        }
        Ok(body)
    }

    fn fill(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.filled, 0);
        }
        let count = self.stream.read(&mut self.buffer[self.filled..]).context("read an answer")?;
        ensure!(count > 0, "the service closed the connection");
        self.filled += count;
        Ok(())
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
