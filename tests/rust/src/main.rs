//! Drives the official ngrok Rust SDK, unmodified, in a process of its own: one JSON command a line on standard
//! input, one JSON answer a line on standard output. The same as tests/system/drivers/python_sdk.py.

use std::any::Any;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use ngrok::config::{ForwarderBuilder, ProxyProto, Scheme, TunnelBuilder};
use ngrok::prelude::*;
use ngrok::session::{ConnectError, RpcError};
use ngrok::Session;
use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use url::Url;

type Failure = Box<dyn StdError + Send + Sync>;

#[derive(Default)]
struct Driver {
    session: Option<Session>,
    ids: HashMap<String, String>,
    forwarders: Vec<Box<dyn Any + Send>>,
    latencies: Arc<Mutex<Vec<f64>>>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut driver = Driver::default();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut out = tokio::io::stdout();
    while let Some(line) = lines.next_line().await? {
        let answer = match driver.answer(&serde_json::from_str(&line)?).await {
            Ok(answer) => answer,
            Err(error) => json!({"error": whole(&*error), "code": code(&*error)}),
        };
        out.write_all(format!("{answer}\n").as_bytes()).await?;
        out.flush().await?;
    }
    Ok(())
}

/// The text of an error and of all that caused it.
fn whole(error: &(dyn StdError + 'static)) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", whole(cause)),
        None => error.to_string(),
    }
}

fn code(error: &(dyn StdError + 'static)) -> String {
    let found = match (
        error.downcast_ref::<ConnectError>(),
        error.downcast_ref::<RpcError>(),
    ) {
        (Some(refused), _) => refused.error_code(),
        (_, Some(refused)) => refused.error_code(),
        _ => None,
    };
    found.unwrap_or("").to_string()
}

fn text<'a>(command: &'a Value, name: &str) -> &'a str {
    command[name].as_str().unwrap_or("")
}

impl Driver {
    async fn answer(&mut self, command: &Value) -> Result<Value, Failure> {
        match text(command, "op") {
            "connect" => self.connect(command).await,
            "forward" => self.forward(command).await,
            "listen" => self.listen(command).await,
            "unbind" => {
                let id = self
                    .ids
                    .remove(text(command, "url"))
                    .ok_or("no such endpoint")?;
                self.session()?.close_tunnel(id).await?;
                Ok(json!({}))
            }
            "close" => {
                let mut session = self.session.take().ok_or("not connected")?;
                session.close().await?;
                self.forwarders.clear();
                Ok(json!({}))
            }
            "state" => Ok(json!({"latencies": *self.latencies.lock().unwrap(), "losses": []})),
            other => Err(format!("unknown command {other:?}").into()),
        }
    }

    fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or_else(|| "not connected".into())
    }

    async fn connect(&mut self, command: &Value) -> Result<Value, Failure> {
        let mut builder = Session::builder();
        let seconds = |name: &str| Duration::from_secs(command[name].as_u64().unwrap_or(10));
        let latencies = self.latencies.clone();
        builder
            .authtoken(text(command, "token"))
            .server_addr(text(command, "address"))?
            .ca_cert(Bytes::copy_from_slice(text(command, "ca").as_bytes()))
            .heartbeat_interval(seconds("interval"))?
            .heartbeat_tolerance(seconds("tolerance"))?
            .handle_heartbeat(move |latency: Option<Duration>| {
                let latencies = latencies.clone();
                async move {
                    if let Some(latency) = latency {
                        latencies
                            .lock()
                            .unwrap()
                            .push(latency.as_secs_f64() * 1000.0);
                    }
                    Ok::<(), Box<dyn StdError>>(())
                }
            });
        self.session = Some(builder.connect().await?);
        Ok(json!({"id": self.session()?.id()}))
    }

    async fn forward(&mut self, command: &Value) -> Result<Value, Failure> {
        let (domain, to) = (text(command, "domain"), Url::parse(text(command, "to"))?);
        let version = match text(command, "proxy") {
            "1" => ProxyProto::V1,
            "2" => ProxyProto::V2,
            _ => ProxyProto::None,
        };
        let session = self.session()?;
        match text(command, "proto") {
            "tcp" => {
                let mut builder = session.tcp_endpoint();
                builder.proxy_proto(version);
                if !domain.is_empty() {
                    builder.remote_addr(domain);
                }
                let made = builder.listen_and_forward(to).await?;
                let answer = self.keep(made.url(), made.id());
                self.forwarders.push(Box::new(made));
                Ok(answer)
            }
            "tls" => {
                let mut builder = session.tls_endpoint();
                builder.proxy_proto(version);
                if !domain.is_empty() {
                    builder.domain(domain);
                }
                if let (Some(chain), Some(key)) = (
                    command["tls"]["certificate"].as_str(),
                    command["tls"]["key"].as_str(),
                ) {
                    builder
                        .termination(Bytes::from(chain.to_string()), Bytes::from(key.to_string()));
                }
                let made = builder.listen_and_forward(to).await?;
                let answer = self.keep(made.url(), made.id());
                self.forwarders.push(Box::new(made));
                Ok(answer)
            }
            proto => {
                let mut builder = session.http_endpoint();
                builder.proxy_proto(version).scheme(scheme(proto));
                if !domain.is_empty() {
                    builder.domain(domain);
                }
                let made = builder.listen_and_forward(to).await?;
                let answer = self.keep(made.url(), made.id());
                self.forwarders.push(Box::new(made));
                Ok(answer)
            }
        }
    }

    /// Serve an endpoint in this process: HTTP, or an echo where the endpoint is none of HTTP.
    async fn listen(&mut self, command: &Value) -> Result<Value, Failure> {
        let domain = text(command, "domain");
        let session = self.session()?;
        match text(command, "proto") {
            "tcp" => {
                let mut builder = session.tcp_endpoint();
                if !domain.is_empty() {
                    builder.remote_addr(domain);
                }
                let mut made = builder.listen().await?;
                let answer = self.keep(made.url(), made.id());
                tokio::spawn(async move {
                    while let Ok(Some(visitor)) = made.try_next().await {
                        tokio::spawn(echo(visitor));
                    }
                });
                Ok(answer)
            }
            proto => {
                let mut builder = session.http_endpoint();
                builder.scheme(scheme(proto));
                if !domain.is_empty() {
                    builder.domain(domain);
                }
                let mut made = builder.listen().await?;
                let answer = self.keep(made.url(), made.id());
                tokio::spawn(async move {
                    while let Ok(Some(visitor)) = made.try_next().await {
                        tokio::spawn(hello(visitor));
                    }
                });
                Ok(answer)
            }
        }
    }

    fn keep(&mut self, url: &str, id: &str) -> Value {
        self.ids.insert(url.to_string(), id.to_string());
        json!({"url": url, "id": id})
    }
}

fn scheme(proto: &str) -> Scheme {
    if proto == "http" {
        Scheme::HTTP
    } else {
        Scheme::HTTPS
    }
}

async fn echo(mut visitor: ngrok::conn::EndpointConn) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let count = visitor.read(&mut buffer).await?;
        if count == 0 {
            return visitor.shutdown().await;
        }
        visitor.write_all(&buffer[..count]).await?;
    }
}

/// Answer one request with its path.
async fn hello(visitor: ngrok::conn::EndpointConn) -> std::io::Result<()> {
    let mut visitor = BufReader::new(visitor);
    let mut first = String::new();
    visitor.read_line(&mut first).await?;
    let mut line = String::new();
    while visitor.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or("");
    let body = format!("served by the SDK: {path}\n");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    visitor.write_all((head + &body).as_bytes()).await?;
    visitor.shutdown().await
}
